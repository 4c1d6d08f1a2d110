"""Statistics of a LeRobot dataset's features: of every episode in ``meta/episodes``, of all frames in ``meta/stats.json``.

Names and shapes are lerobot's (``compute_stats.py``, 0.6.1): of numbers one value per dimension, of images one per channel,
``[3, 1, 1]`` in [0, 1]. Values are exact, where lerobot draws some images of an episode, and takes the mean of the episodes'
quantiles for the quantile of all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}

Stats = dict[str, list]


def of_numbers(values: np.ndarray) -> Stats:
    """Return the statistics of a feature's values, ``[T, n]`` or ``[T]``."""
    values = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    found |= {name: np.quantile(values, share, axis=0) for name, share in QUANTILES.items()}
    return {name: array.tolist() for name, array in found.items()} | {"count": [len(values)]}


@dataclass(frozen=True)
class ImageCounts:
    """How often each level of each channel is seen: all that statistics need, and it adds up."""

    levels: np.ndarray  # int64 [3, 256]
    num_frames: int

    @staticmethod
    def of(frames: np.ndarray) -> "ImageCounts":
        """Count frames, uint8 ``[T, px, px, 3]``."""
        levels = [np.bincount(frames[..., channel].ravel(), minlength=256) for channel in range(3)]
        return ImageCounts(np.stack(levels), len(frames))

    def stats(self) -> Stats:
        """Return the statistics of the frames; ``count`` is of frames, not of pixels."""
        values = np.arange(256) / 255
        shares = self.levels / self.levels.sum(1, keepdims=True)
        mean = shares @ values
        seen = [np.flatnonzero(channel) for channel in self.levels]
        found = {
            "min": np.array([values[levels[0]] for levels in seen]),
            "max": np.array([values[levels[-1]] for levels in seen]),
            "mean": mean,
            "std": np.sqrt(np.maximum(shares @ values**2 - mean**2, 0)),
        }
        passed = shares.cumsum(1)
        found |= {name: values[(passed >= share - 1e-12).argmax(1)] for name, share in QUANTILES.items()}
        return {name: array.reshape(3, 1, 1).tolist() for name, array in found.items()} | {"count": [self.num_frames]}


def add(counts: Iterable[ImageCounts]) -> ImageCounts:
    """Return the counts of all frames together."""
    counts = list(counts)
    return ImageCounts(np.sum([one.levels for one in counts], axis=0), sum(one.num_frames for one in counts))
