"""What is scored: the clips as each source shows them, of which only those that are asked for are in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldvla.data.episodes import read_episode
from worldvla.data.generated import Generated, read_generated
from worldvla.metrics.videos import Clip, Source, Videos
from worldvla.tokenizers.image import ImageTokenizer

TRUTH, COPY, RECONSTRUCTION = Source("truth", "none"), Source("copy", "none"), Source("reconstruction", "none")


class Sources:
    """The predictions of all models of a suite, the recorded clips, and two baselines."""

    def __init__(self, generated: Path, models: Sequence[str], num_frames: int, filtered: Path) -> None:
        """Read the predicted codes.

        Raises:
            ValueError: a prediction is missing, incomplete or shorter than ``num_frames``.
        """
        self._models = {model.name: model for model in read_generated(generated, models, num_frames)}
        self._filtered, self._num_frames = filtered, num_frames
        first = next(iter(self._models.values()))
        self.clips = [Clip(clip.task, clip.demo, clip.language) for clip in first.clips]
        predicted = [Source(name, actions) for name in self._models for actions in ("true", "shuffled")]
        self.scored = [*predicted, COPY, RECONSTRUCTION]

    def truth(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Return the recorded frames of some clips, by their places: uint8 [n, T, H, W, 3]."""
        chosen = [self.clips[number] for number in numbers]
        # Copied: a slice would keep the whole episode in memory.
        episodes = (read_episode(self._filtered, clip.task, clip.demo).frames for clip in chosen)
        return np.stack([frames[: self._num_frames].copy() for frames in episodes])

    def videos(self, source: Source, numbers: Sequence[int], images: ImageTokenizer) -> Videos:
        """Return some clips as a source shows them."""
        truth = self.truth(numbers)
        flat = truth.reshape(-1, *truth.shape[2:])
        if source == TRUTH:
            return Videos(source, truth)
        if source == COPY:
            return Videos(source, np.repeat(truth[:, :1], self._num_frames, axis=1))
        if source == RECONSTRUCTION:
            return Videos(source, images.decode(images.encode(flat)).reshape(truth.shape))
        model = self._models[source.name]
        codes = _codes(model, source)[list(numbers)]
        frames = images.decode(codes.reshape(len(flat), -1)).reshape(truth.shape)
        frames[:, 0] = truth[:, 0]  # it was given
        accuracy = [model.code_accuracy[number] for number in numbers] if source.actions == "true" else None
        return Videos(source, frames, accuracy)


def _codes(model: Generated, source: Source) -> NDArray[np.uint16]:
    return model.true if source.actions == "true" else model.shuffled
