"""How sure a mean over clips is: bootstrap intervals, of one run and of the difference of two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
PERCENTILES = (2.5, 97.5)  # of a two-sided interval at 95 %


def mean_interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of one score per clip (float, [clips]).

    Clips are drawn, not frames: the frames of a clip share its scene, its motion and its errors. With few clips the
    interval is too narrow, by a factor of about sqrt(1 - 1 / clips).

    Raises:
        ValueError: fewer than two clips, or a score that is not finite.
    """
    _check(values)
    chosen = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), PERCENTILES)
    return float(low), float(high)


@dataclass(frozen=True)
class PairedMeans:
    """How the mean scores of two runs compare on the same clips, in the unit of the score."""

    difference: float  # mean of the first run minus that of the second
    low: float
    high: float  # the 95 % percentile bootstrap interval of the difference
    num_clips: int


def paired_difference(first: NDArray[np.float64], second: NDArray[np.float64], seed: int) -> PairedMeans:
    """Compare two runs whose i-th entries (float, [clips]) are the score of the same clip.

    A draw takes a clip from both runs at once, so what makes a clip hard for both cancels.

    Raises:
        ValueError: the runs have not the same number of clips, fewer than two, or a score that is not finite.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"a paired difference needs the same clips twice; got scores of shapes {first.shape} and {second.shape}"
        )
    differences = first - second
    low, high = mean_interval(differences, seed)
    return PairedMeans(float(differences.mean()), low, high, len(differences))


def _check(values: NDArray[np.float64]) -> None:
    if values.ndim != 1:
        raise ValueError(f"a bootstrap over clips needs one score per clip; got shape {values.shape}, expected [clips]")
    if len(values) < 2:
        raise ValueError(
            f"a bootstrap needs at least two clips, for one clip has no spread; got {len(values)}: score more clips"
        )
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise ValueError(f"the score of clip {wrong[0]} is {values[wrong[0]]}; expected a finite score of every clip")
