# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = ["vla-eval==0.8.0", "worldvla"]
#
# [tool.uv.sources]
# worldvla = { path = "../..", editable = true }
# ///
"""A model for the evaluation harness vla-eval, which has episodes and asks at every step: nothing is left to guess.

    vla-eval serve --config integrations/vla_eval/worldvla.yaml --address 127.0.0.1:8000 --arg run=action_chunk_mask-goal-1

from the top of this repository, or without ``uv``, which makes an environment of its own from the lines above:

    python -m integrations.vla_eval.server --config integrations/vla_eval/worldvla.yaml --address 127.0.0.1:8000

Its LIBERO benchmark shows 256 x 256 px turned by 180 degrees, the instruction, and takes commands with the gripper's sign as
here. A token of an answer that is no action counts as the nearest bin, as in the release: one of a batch cannot fail alone.

Source: `vla_eval/model_servers/predict.py` of vla-eval 0.8.0.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vla_eval.model_servers.base import SessionContext
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.specs import GRIPPER_CLOSE_POS, IMAGE_RGB, LANGUAGE, POSITION_DELTA, ROTATION_AA, DimSpec

from worldvla.api import load_model
from worldvla.serving.answering import Answerer, Query
from worldvla.serving.sessions import fitting_frames


class WorldVLAServer(PredictModelServer):
    """Answers with chunks, which the harness executes an action at a time; frames are kept at every step."""

    def __init__(self, run: str, tokenizer: str | None = None, batch: int = 4, resize: bool = False) -> None:
        """Load a model.

        Args:
            run: a run of ``data/models``, a folder, or a repository of the hub.
            tokenizer: folder of its image tokenizer; found if absent.
            batch: queries that are answered together, at most.
            resize: whether images of another size are scaled.
        """
        model, _ = load_model(run, "action", tokenizer, batch=batch)
        # Above one, or the harness would ask with single observations.
        super().__init__(chunk_size=model.settings.chunk, max_batch_size=max(2, batch))
        self._answerer = Answerer(model, "clamp", batch)
        self._pixels, self._history, self._resize = model.images.pixels, model.settings.history, resize
        self._frames: dict[str, NDArray[np.uint8]] = {}  # of each session: the last [m, px, px, 3], oldest first

    def get_action_spec(self) -> dict[str, DimSpec]:
        """Return what the commands are."""
        return {"position": POSITION_DELTA, "rotation": ROTATION_AA, "gripper": GRIPPER_CLOSE_POS}

    def get_observation_spec(self) -> dict[str, DimSpec]:
        """Return what a query needs."""
        return {"image": IMAGE_RGB, "language": LANGUAGE}

    async def on_episode_start(self, config: dict[str, Any], ctx: SessionContext) -> None:
        """Forget the episode before."""
        self._frames.pop(ctx.session_id, None)
        await super().on_episode_start(config, ctx)

    async def on_episode_end(self, result: dict[str, Any], ctx: SessionContext) -> None:
        """Forget the episode."""
        self._frames.pop(ctx.session_id, None)
        await super().on_episode_end(result, ctx)

    async def on_observation(self, obs: dict[str, Any], ctx: SessionContext) -> None:
        """Keep the frame, also while a chunk is executed and the model is not asked."""
        new = fitting_frames(obs.get("images", {}).get("agentview"), self._pixels, self._history, self._resize)
        before = self._frames.get(ctx.session_id, new[:0])
        self._frames[ctx.session_id] = np.concatenate([before, new])[-self._history :]
        await super().on_observation(obs, ctx)

    def predict_batch(self, obs_batch: list[dict[str, Any]], ctx_batch: list[SessionContext]) -> list[dict[str, Any]]:
        """Return a chunk of actions [K, 7] for every observation."""
        queries = [
            Query(obs["task_description"], (), self._frames[ctx.session_id])
            for obs, ctx in zip(obs_batch, ctx_batch, strict=True)
        ]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)  # a batch is of one length
        for number, query in enumerate(queries):
            groups[self._answerer.length(query)].append(number)
        actions: dict[int, Any] = {}
        for members in groups.values():
            for start in range(0, len(members), self._answerer.batch):
                some = members[start : start + self._answerer.batch]
                answers = self._answerer([queries[number] for number in some])
                actions |= {number: answer.actions for number, answer in zip(some, answers, strict=True)}
        return [{"actions": actions[number]} for number in range(len(queries))]


if __name__ == "__main__":
    from vla_eval.model_servers.serve import run_server

    run_server(WorldVLAServer)
