"""What a comparison of n pairs can show: the smallest true difference that it finds with the wanted chance."""

from functools import cache
from math import sqrt
from statistics import NormalDist, stdev

import numpy as np
from numpy.typing import NDArray

from worldvla.metrics.success import wilson

STEPS = 20  # halvings of the search: to a millionth of a rate


def mcnemar_power(episodes: int, difference: float, share: float, significance: float) -> float:
    """Return the chance that McNemar's exact test finds which of two runs succeeds more often.

    Source: the number of pairs that disagree is binomial, and of these the better run wins a binomial number; the test
    finds it if the other wins at most the critical number of a sign test. Summed over all numbers of disagreeing pairs.

    Args:
        episodes: pairs, one per initial state.
        difference: of the true success rates, at least 0.
        share: of the pairs, the true part that disagrees; at least the difference, and above 0.
        significance: of the two-sided test.

    Raises:
        ValueError: no episodes, or a share that the difference does not fit into.
    """
    if episodes < 1 or not 0 <= difference <= share <= 1 or share == 0:
        raise ValueError(
            f"power needs an episode and 0 <= difference <= share <= 1; got {episodes}, {difference} and {share}"
        )
    wins = (1 + difference / share) / 2
    chances = _binomial(episodes, share)
    power = 0.0
    for disagree, critical in enumerate(_critical_numbers(episodes, significance)):
        if critical >= 0 and chances[disagree] > 1e-12:
            power += chances[disagree] * _binomial(disagree, wins)[disagree - critical :].sum()
    return float(power)


def smallest_paired_rate(episodes: int, disagree: int, significance: float, power: float) -> float | None:
    """Return the smallest difference of two success rates, a fraction, that McNemar's exact test finds with this power.

    The true share of the disagreeing pairs is taken to be the observed one, or, where none disagrees, the upper end of
    its Wilson interval: many disagreements make a difference harder to find. A difference larger than that share takes
    the share with it, all of it in one direction.

    Args:
        episodes: pairs, one per initial state.
        disagree: observed pairs of which one run succeeds and the other does not.
        significance: of the two-sided test.
        power: the wanted chance to find it.

    Returns:
        The difference, or None if so few episodes cannot show any: fewer than six at a significance of 0.05.
    """
    share = disagree / episodes if disagree else wilson(0, episodes)[1]

    def reached(difference: float) -> bool:
        return mcnemar_power(episodes, difference, max(share, difference), significance) >= power

    if not reached(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def smallest_paired_mean(differences: NDArray[np.float64], significance: float, power: float) -> float:
    """Return the smallest mean of one difference per clip (float, [clips]) that a test finds with this power.

    Source: normal approximation, (z of significance + z of power) * s / sqrt(n), from the spread s of the clips; with few
    clips it is too small.

    Raises:
        ValueError: fewer than two clips.
    """
    if len(differences) < 2:
        raise ValueError(f"a spread needs at least two clips; got {len(differences)}")
    z = NormalDist().inv_cdf(1 - significance / 2) + NormalDist().inv_cdf(power)
    return z * stdev(differences.tolist()) / sqrt(len(differences))


@cache
def _critical_numbers(largest: int, significance: float) -> list[int]:
    """Return, for 0 to ``largest`` disagreeing pairs, how many the worse run may win at most; -1: no number will do."""
    numbers = [-1]
    for disagree in range(1, largest + 1):
        tail = _binomial(disagree, 0.5)[: numbers[-1] + 2].sum()
        numbers.append(numbers[-1] + int(tail <= significance / 2))  # with a pair more, it rises by one at most
    return numbers


def _binomial(num: int, chance: float) -> NDArray[np.float64]:
    """Return the chances of 0 to ``num`` successes."""
    if chance == 1:
        return np.eye(1, num + 1, num)[0]
    counts = np.arange(num + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    log_ways = log_factorials[-1] - log_factorials - log_factorials[::-1]
    return np.exp(log_ways + counts * np.log(chance) + counts[::-1] * np.log1p(-chance))
