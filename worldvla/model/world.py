"""A trained model as a world model: a first frame and actions in, a video out."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worldvla.model import decoding
from worldvla.model.parts import Part
from worldvla.model.trained import TrainedModel
from worldvla.sequences import IGNORED, Sample, world_prompt, world_sample


class WorldModel:
    """Greedy next frames; each is asked for in one round, with the last frame and the action alone.

    That is how a model of one round was trained; of one trained with more, it is the first.
    """

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        self._text = model.prompt("world", "")  # the action says all: the prompt holds no instruction

    @classmethod
    def load(cls, model: Path, tokenizer: Path, batch: int = 1) -> "WorldModel":
        """Load a run's model and its suite's tokenizers, to be asked for ``batch`` clips at a time; see `TrainedModel.load`."""
        return cls(TrainedModel.load(model, tokenizer, "world", batch))

    def predict(
        self, first: NDArray[np.uint16], actions: NDArray[np.floating], reencode: bool = False
    ) -> NDArray[np.uint16]:
        """Return videos: the first frame, then each frame predicted from the one before and the action between.

        Source: section 4.1 and figure 5; the successor's script. It decodes every predicted frame to pixels and encodes it
        again before the next (``reencode``); without, codes are given back as they are.

        Args:
            first: codes [clips, n] of the given frames.
            actions: commands [clips, T, 7]; the last one is not used.
            reencode: see above.

        Returns:
            Codes [clips, T, n].
        """
        frames = [first]
        for step in range(actions.shape[1] - 1):
            last = self._model.images.encode(self._model.images.decode(frames[-1])) if reencode and step else frames[-1]
            frames.append(self._next(last, actions[:, step]))
        return np.stack(frames, axis=1)

    def _next(self, codes: NDArray[np.uint16], actions: NDArray[np.floating]) -> NDArray[np.uint16]:
        """Return the codes [clips, n] of the frames after frames [clips, n] and actions [clips, 7]."""
        model = self._model
        prompts = [
            world_prompt(model.ids, self._text, image, bins)
            for image, bins in zip(codes, model.actions.encode(actions), strict=True)
        ]
        batch = torch.from_numpy(np.stack(prompts)).to(model.device)
        chosen = decoding.decode_image(model.transformer, model.ids, batch, codes.shape[1])
        return chosen.cpu().numpy().astype(np.uint16)

    @torch.inference_mode()
    def accuracy(self, codes: NDArray[np.uint16], actions: NDArray[np.floating]) -> float:
        """Return the share of an episode's codes that come out right if all that stands before each is the truth.

        Args:
            codes: [T, n] of the true frames.
            actions: [T, 7]; the last one leads to no recorded frame and is not used.
        """
        model = self._model
        bins = model.actions.encode(actions)
        samples = [
            world_sample(model.ids, self._text, codes[step : step + 2], bins[step : step + 1])
            for step in range(len(codes) - 1)
        ]
        return self._share_right(samples)

    def _share_right(self, samples: list[Sample]) -> float:
        ids, model = self._model.ids, self._model.transformer
        tokens = torch.from_numpy(np.stack([sample.tokens for sample in samples])).to(self._model.device)
        labels = torch.from_numpy(np.stack([sample.labels for sample in samples])).to(self._model.device)
        targets = labels[:, 1:]
        is_code = (targets != IGNORED) & (targets >= ids.first_code) & (targets < ids.first_code + ids.num_codes)
        hidden = model(Part(tokens)).view(*tokens.shape, -1)[:, :-1][is_code]
        right = decoding.best_code(model, ids, hidden) + ids.first_code == targets[is_code]
        return right.double().mean().item()
