"""How sure the median of repeated queries is, and the ratio of two medians of the same rounds: their bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldvla.metrics.bootstrap import PERCENTILES, RESAMPLES


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def per_query(seconds: Sequence[float], amount: float, seed: int) -> Estimate:
    """Return how much is done in a second, if a query does ``amount``: that over the median query.

    Rounds are drawn in blocks of neighbours, for a slow minute slows neighbours alike: drawn one by one, the interval would be
    too narrow. Blocks wrap around the end (circular block bootstrap: Politis and Romano 1992) and are as long as the cube root
    of the number of rounds; ends are percentiles.

    Args:
        seconds: of the query, by round.
        amount: done by one query.
        seed: of the draws: the same rounds are drawn for the same seed.
    """
    times = np.asarray(seconds, float)
    return _estimate(amount / np.median(times), amount / np.median(times[_draws(len(times), seed)], axis=1))


def times_as_fast(seconds: Sequence[float], others: Sequence[float], seed: int) -> Estimate:
    """Return how many times as fast one query is as another that was asked in the same rounds: the ratio of the medians.

    The rounds that are drawn are those of both, as in `per_query`, so that what slowed a round cancels.

    Raises:
        ValueError: the two have not the same number of rounds.
    """
    if len(seconds) != len(others):
        raise ValueError(
            f"a ratio needs the same rounds; got {len(seconds)} of one query and {len(others)} of the other"
        )
    times, drawn = np.array([others, seconds], float), _draws(len(seconds), seed)
    slower, faster = np.median(times[:, drawn], axis=2)
    return _estimate(np.median(times[0]) / np.median(times[1]), slower / faster)


def _draws(num_rounds: int, seed: int) -> NDArray[np.int64]:
    """Return the rounds of every resample [RESAMPLES, num_rounds]."""
    length = max(1, round(num_rounds ** (1 / 3)))
    size = RESAMPLES, -(-num_rounds // length), 1
    starts = np.random.default_rng(seed).integers(num_rounds, size=size)
    return ((starts + np.arange(length)) % num_rounds).reshape(RESAMPLES, -1)[:, :num_rounds]


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(resampled, PERCENTILES).tolist()
    return Estimate(float(value), low, high)
