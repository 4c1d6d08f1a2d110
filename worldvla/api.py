"""What ``from worldvla import Policy, WorldModel`` gives: models to ask with images and commands, not with codes and bins."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worldvla.folders import find_model, find_tokenizer
from worldvla.model import world as worlds
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.trained import TrainedModel
from worldvla.params.released import ORIGIN_FILE
from worldvla.params.rollout import NoBin


def load_model(
    source: str | Path,
    kind: Literal["action", "world"],
    tokenizer: str | Path | None = None,
    revision: str = "main",
    batch: int = 1,
) -> tuple[TrainedModel, Path]:
    """Return a model that answers with actions or with frames, and the folder that it was loaded from.

    Args:
        source: a folder, a run of ``data/models``, or a repository of the hub (``find_model``).
        kind: what it will be asked for.
        tokenizer: folder of its image tokenizer; found if absent (``find_tokenizer``).
        revision: branch or commit of a repository.
        batch: how many questions at a time.

    Raises:
        ValueError: there is no such model, or it does not answer this kind of question.
    """
    folder = find_model(source, revision)
    return TrainedModel.load(folder, find_tokenizer(folder, tokenizer), kind, batch), folder


def no_bin_of(folder: Path) -> NoBin:
    """Return what becomes of a token that is no bin: as the release does for its own weights, else a failure."""
    return "clamp" if (folder / ORIGIN_FILE).is_file() else "fail"


class Policy:
    """Chooses actions: the last frames and an instruction in, a chunk of commands out.

    Images are what LIBERO's ``agentview_image`` shows, turned by 180 degrees (``image[::-1, ::-1]``): upright, RGB, uint8.
    Commands are those of ``env.step``: translation, rotation, gripper (-1 open, +1 close).
    """

    def __init__(self, model: TrainedModel, no_bin: NoBin = "fail") -> None:
        self._policy = ChameleonPolicy(model, no_bin, graphs=True)
        self.pixels, self.history, self.chunk = model.images.pixels, model.settings.history, model.settings.chunk

    @classmethod
    def load(cls, source: str | Path, *, tokenizer: str | Path | None = None, revision: str = "main") -> "Policy":
        """Load a model that was trained on actions; arguments and errors as ``load_model``."""
        model, folder = load_model(source, "action", tokenizer, revision)
        return cls(model, no_bin_of(folder))

    def act(self, frames: NDArray[np.uint8], instruction: str) -> NDArray[np.float64]:
        """Return the next commands, float64 [chunk, 7].

        Args:
            frames: uint8 [pixels, pixels, 3], or the frames of the last steps [m, pixels, pixels, 3], oldest first, one per
                step of the environment; the last ``history`` of them count. There are fewer only when an episode begins.
            instruction: what to do, e.g. ``put the bowl on the plate``.

        Raises:
            ValueError: images of another shape or type, or the model's answer is no action.
        """
        frames = np.asarray(frames)
        codes = self._policy.encode((frames[None] if frames.ndim == 3 else frames)[-self.history :])
        if not len(codes):
            raise ValueError(f"policy: got no frame, expected 1 to {self.history}")
        (actions,) = self._policy.act([instruction], [codes])
        if actions is None:
            raise ValueError(
                f"policy: a token of the answer to '{instruction}' is no action; expected bins alone; train for longer, or count "
                "it as the nearest bin: Policy(model, no_bin='clamp')"
            )
        return actions


class WorldModel:
    """Predicts what actions lead to: a frame and commands in, a clip out. Images and commands are those of ``Policy``."""

    def __init__(self, model: TrainedModel) -> None:
        self._images, self._world = model.images, worlds.WorldModel(model)
        self.pixels = model.images.pixels

    @classmethod
    def load(cls, source: str | Path, *, tokenizer: str | Path | None = None, revision: str = "main") -> "WorldModel":
        """Load a model that was trained as a world model; arguments and errors as ``load_model``."""
        return cls(load_model(source, "world", tokenizer, revision)[0])

    def predict(self, frame: NDArray[np.uint8], actions: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return a clip, uint8 [T + 1, pixels, pixels, 3]: the given frame through the tokenizer, and one frame per action.

        Args:
            frame: uint8 [pixels, pixels, 3].
            actions: commands [T, 7]; the t-th leads from the t-th frame to the next.

        Raises:
            ValueError: an image of another shape or type, or a command that is not finite.
        """
        actions = np.atleast_2d(np.asarray(actions, np.float64))
        behind = np.zeros((1, actions.shape[1]))  # the last one of a clip leads to no frame of it
        codes = self._world.predict(
            self._images.encode(np.asarray(frame)[None]), np.concatenate([actions, behind])[None]
        )
        return self._images.decode(codes[0])
