"""How sure a mean over clips is: its bootstrap interval."""

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
