"""Success rates: how sure a rate is, and whether two runs differ on the same initial states."""

from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)  # of a two-sided interval at 95 %


def wilson(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a success rate, as fractions in [0, 1].

    It treats the episodes as one random sample. With the same tasks every time the interval is a little too wide; for a
    claim about other tasks it is too narrow.

    Raises:
        ValueError: no episodes, or more successes than episodes.
    """
    if not 0 <= successes <= episodes or episodes == 0:
        raise ValueError(f"a success rate needs 0 <= successes <= episodes and an episode; got {successes}/{episodes}")
    centre = (successes + Z**2 / 2) / (episodes + Z**2)
    half = Z / (episodes + Z**2) * sqrt(successes * (episodes - successes) / episodes + Z**2 / 4)
    # At its ends the interval touches the rate, where rounding would leave a gap.
    return (max(0.0, centre - half) if successes else 0.0), (min(1.0, centre + half) if successes < episodes else 1.0)


@dataclass(frozen=True)
class Paired:
    """How two runs compare on the same initial states. Counts are episodes, differences are fractions."""

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float  # success rate of the first run minus that of the second
    low: float
    high: float  # the 95 % interval of the difference: Newcombe's for paired proportions
    p_value: float  # exact McNemar, two-sided


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two runs whose i-th entries (bool, [episodes]) are the success on the same initial state.

    Source: McNemar's exact test is a sign test on the episodes where the runs disagree. The interval is method 10 of
    R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650: both rates' Wilson intervals, joined with the correlation
    of the outcomes.

    Raises:
        ValueError: the runs have not the same number of episodes, or none.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"a paired test needs the same episodes twice; got {first.size} and {second.size}")
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, neither = int((~first & second).sum()), int((~first & ~second).sum())
    disagree = only_first + only_second
    difference = (only_first - only_second) / first.size
    low, high = _newcombe(both, only_first, only_second, neither)
    tail = sum(comb(disagree, k) for k in range(min(only_first, only_second) + 1))
    p_value = min(1.0, 2 * tail / 2**disagree)
    return Paired(both, only_first, only_second, neither, difference, low, high, p_value)


def _newcombe(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two paired proportions."""
    num = both + only_first + only_second + neither
    rate_1, rate_2 = (both + only_first) / num, (both + only_second) / num
    (low_1, high_1), (low_2, high_2) = wilson(both + only_first, num), wilson(both + only_second, num)
    below_1, above_1, below_2, above_2 = rate_1 - low_1, high_1 - rate_1, rate_2 - low_2, high_2 - rate_2
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    if product > 0:  # the continuity correction makes a positive correlation smaller
        product = max(product - num / 2, 0)
    phi = product / sqrt(margins) if margins else 0.0
    difference = rate_1 - rate_2
    low = difference - sqrt(max(0.0, below_1**2 - 2 * phi * below_1 * above_2 + above_2**2))
    high = difference + sqrt(max(0.0, above_1**2 - 2 * phi * above_1 * below_2 + below_2**2))
    return low, high
