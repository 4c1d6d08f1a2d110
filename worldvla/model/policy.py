"""A trained model as a policy: frames and instructions in, action chunks out."""

from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worldvla.model import decoding
from worldvla.model.graphs import Graphs
from worldvla.model.trained import TrainedModel
from worldvla.params.rollout import NoBin
from worldvla.sequences import action_prompt


class ChameleonPolicy:
    """Greedy action chunks from codes of frames."""

    def __init__(self, model: TrainedModel, no_bin: NoBin = "fail", graphs: bool = False) -> None:
        """Wrap a model.

        Args:
            model: trained on samples of actions.
            no_bin: what becomes of an answer with a token that is no bin.
            graphs: whether decoding on a GPU is recorded and replayed: the same answers, sooner.
        """
        self._model, self._no_bin = model, no_bin
        decode = decoding.decode_lanes if model.settings.mask == "action" else decoding.decode_sequentially
        answer = partial(decode, model.transformer, model.ids, chunk=model.settings.chunk)
        self._decode = Graphs(answer) if graphs else answer

    @classmethod
    def load(
        cls, model: Path, tokenizer: Path, no_bin: NoBin = "fail", graphs: bool = False, batch: int = 1
    ) -> "ChameleonPolicy":
        """Load a run's model and its suite's tokenizers, to be asked ``batch`` questions at a time; see `TrainedModel.load`."""
        return cls(TrainedModel.load(model, tokenizer, "action", batch), no_bin, graphs)

    @property
    def on_gpu(self) -> bool:
        """Whether answers are computed on a GPU."""
        return self._model.device.type != "cpu"

    @property
    def history(self) -> int:
        """Number of frames that a query holds (fewer at the start of an episode)."""
        return self._model.settings.history

    @property
    def chunk(self) -> int:
        """Number of actions that an answer holds."""
        return self._model.settings.chunk

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return row-major codes [N, n] of upright RGB frames [N, px, px, 3]."""
        return self._model.images.encode(frames)

    def act(self, languages: list[str], histories: list[NDArray[np.uint16]]) -> list[NDArray[np.float64] | None]:
        """Return one chunk of commands [K, 7] per query, or None for an answer that counts as none.

        By ``clamp`` there is no such answer: every token counts as the nearest bin, as where the release decodes
        (`modeling_xllmx_chameleon_ck.py`: clip(id - 10006, 0, 254)).

        Args:
            languages: instruction of each query.
            histories: codes [m, n] of its last frames, oldest first.
        """
        model, ids = self._model, self._model.ids
        groups: dict[int, list[int]] = defaultdict(list)  # queries by length of the prompt: a batch has no padding
        prompts = []
        for number, (language, history) in enumerate(zip(languages, histories, strict=True)):
            prompts.append(action_prompt(ids, model.prompt("action", language), list(history)))
            groups[prompts[-1].size].append(number)
        answers: list[NDArray[np.float64] | None] = [None] * len(prompts)
        for members in groups.values():
            batch = torch.from_numpy(np.stack([prompts[number] for number in members])).to(model.device)
            chunks = self._decode(batch).cpu().numpy()
            for number, tokens in zip(members, chunks, strict=True):
                bins = tokens - ids.first_bin
                if self._no_bin == "clamp":
                    bins = bins.clip(0, ids.num_bins - 1)  # the last bin decodes like the one before
                if ((bins >= 0) & (bins < ids.num_bins)).all():
                    answers[number] = model.actions.decode(bins)
        return answers
