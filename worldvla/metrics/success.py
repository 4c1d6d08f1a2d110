"""Success rates: how sure a rate is, and how far two rates lie apart, over initial states that both have seen."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Z = NormalDist().inv_cdf(0.975)  # of a two-sided interval at 95 %


def wilson(successes: float, episodes: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a success rate, as fractions in [0, 1].

    It treats the episodes as one random sample. With the same tasks every time the interval is a little too wide; for a
    claim about other tasks it is too narrow. Counts may be fractions, as means over several trainings are.

    Raises:
        ValueError: no episodes, or more successes than episodes.
    """
    if not 0 <= successes <= episodes or episodes == 0:
        raise ValueError(f"a success rate needs 0 <= successes <= episodes and an episode; got {successes}/{episodes}")
    centre = (successes + Z**2 / 2) / (episodes + Z**2)
    half = Z / (episodes + Z**2) * sqrt(successes * (episodes - successes) / episodes + Z**2 / 4)
    # At its ends the interval touches the rate, where rounding would leave a gap.
    return (max(0.0, centre - half) if successes else 0.0), (min(1.0, centre + half) if successes < episodes else 1.0)


class Difference(NamedTuple):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


def paired(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Compare two models whose i-th entries (float, [states], in [0, 1]) are the same initial state.

    An entry is the share of a model's trainings that solve the state: a state counts once however often it was tried. With
    one training each these are outcomes; with several, all pairs of trainings make up the table of agreements, whose
    total stays the number of states. The interval is Newcombe's, as fractions.

    Raises:
        ValueError: the models have not the same number of states, or none.
    """
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"a paired interval needs the same episodes twice; got {first.size} and {second.size}")
    both, only_first = float((first * second).sum()), float((first * (1 - second)).sum())
    only_second, neither = float(((1 - first) * second).sum()), float(((1 - first) * (1 - second)).sum())
    return newcombe(both, only_first, only_second, neither)


def newcombe(both: float, only_first: float, only_second: float, neither: float) -> Difference:
    """Return the difference of two paired proportions, as fractions, from the table of agreements.

    Source: method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650: both rates' Wilson intervals, joined with
    the correlation of the outcomes.
    """
    num = both + only_first + only_second + neither
    # Sums of fractions may pass the total by a rounding error.
    successes_1, successes_2 = min(both + only_first, num), min(both + only_second, num)
    rate_1, rate_2 = successes_1 / num, successes_2 / num
    (low_1, high_1), (low_2, high_2) = wilson(successes_1, num), wilson(successes_2, num)
    below_1, above_1, below_2, above_2 = rate_1 - low_1, high_1 - rate_1, rate_2 - low_2, high_2 - rate_2
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    if product > 0:  # the continuity correction makes a positive correlation smaller
        product = max(product - num / 2, 0)
    phi = product / sqrt(margins) if margins > 0 else 0.0
    difference = rate_1 - rate_2
    low = difference - sqrt(max(0.0, below_1**2 - 2 * phi * below_1 * above_2 + above_2**2))
    high = difference + sqrt(max(0.0, above_1**2 - 2 * phi * above_1 * below_2 + below_2**2))
    return Difference(difference, low, high)


def combined(parts: Sequence[tuple[float, Difference]]) -> Difference:
    """Return the sum of independent differences, each with its weight, and the interval that their intervals give.

    Source: square-and-add (MOVER), G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702: a part with a
    negative weight gives its upper distance to the lower end. Strata, as suites, are never pooled into one sample.
    """
    value = sum(weight * part.value for weight, part in parts)
    below = above = 0.0
    for weight, part in parts:
        down, up = part.value - part.low, part.high - part.value
        down, up = (down, up) if weight > 0 else (up, down)
        below, above = below + (weight * down) ** 2, above + (weight * up) ** 2
    return Difference(value, value - sqrt(below), value + sqrt(above))
