"""What numbers printed with few decimals give away: how many episodes, how sure a difference is, how long a query took.

Rates are in percent, as tables print them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import ceil, comb, sqrt
from statistics import NormalDist

from worldvla.metrics.success import Difference, Z, combined, wilson


def count(rate: float, episodes: int, decimals: int = 1) -> int | None:
    """Return the k whose 100 k / episodes is printed as this rate; None if there is none.

    The arithmetic is exact. A k exactly between two printed values fits both: papers round halves either way.

    Raises:
        ValueError: the rate is no percentage of that many decimals, or so many episodes that every rate is a count.
    """
    exact = Fraction(Decimal(str(rate)))
    if not 0 <= exact <= 100 or (exact * 10**decimals).denominator != 1:
        raise ValueError(f"rate {rate}: expected a percentage in [0, 100] with at most {decimals} decimals")
    if not 0 < episodes < 100 * 10**decimals:
        raise ValueError(
            f"{episodes} episodes: expected at least one, and fewer than {100 * 10**decimals} printed values"
        )
    k = round(exact * episodes / 100)
    return k if abs(Fraction(100 * k, episodes) - exact) <= Fraction(1, 2 * 10**decimals) else None


@cache
def chance_agreement(episodes: int, decimals: int = 1) -> float:
    """Return the share of the printable rates from 0 to 100 that are counts of so many episodes."""
    printable = [value / 10**decimals for value in range(100 * 10**decimals + 1)]
    return sum(count(rate, episodes, decimals) is not None for rate in printable) / len(printable)


def chance_of_as_many(fitting: int, values: int, chance: float) -> float:
    """Return the probability that at least ``fitting`` of some independent values fit, each with the same chance."""
    return sum(comb(values, k) * chance**k * (1 - chance) ** (values - k) for k in range(fitting, values + 1))


def fitting(rates: Sequence[float], episodes: int) -> tuple[int, float]:
    """Return how many rates are a count of so many episodes, and the chance that as many random ones would be."""
    found = sum(count(rate, episodes) is not None for rate in rates)
    return found, chance_of_as_many(found, len(rates), chance_agreement(episodes))


def likeliest(rates: Sequence[float], choices: Iterable[int]) -> int:
    """Return the number of episodes, of several, whose agreement with the rates would be the rarest chance."""
    return min(choices, key=lambda episodes: fitting(rates, episodes)[1])


@dataclass(frozen=True)
class Unpaired:
    """How two success rates compare whose episodes have nothing to do with each other. Differences are in points."""

    difference: float  # first rate minus second
    low: float
    high: float  # the 95 % interval of the difference: Newcombe's for independent proportions
    z: float
    p_value: float  # two-sided


def unpaired(first: float, second: float, episodes: int) -> Unpaired:
    """Compare two published rates, each of so many episodes.

    Source: z is the test of two proportions with pooled variance. The interval is method 10 of R. G. Newcombe,
    Statistics in Medicine 17 (1998) 873-890: both rates' Wilson intervals joined, of the nearest whole counts (a half
    goes to the even one).

    Raises:
        ValueError: a rate outside [0, 100], or no episodes.
    """
    counts = [round(Fraction(Decimal(str(rate))) * episodes / 100) for rate in (first, second)]
    (low_1, high_1), (low_2, high_2) = (wilson(k, episodes) for k in counts)
    share_1, share_2 = (k / episodes for k in counts)
    low = share_1 - share_2 - sqrt((share_1 - low_1) ** 2 + (high_2 - share_2) ** 2)
    high = share_1 - share_2 + sqrt((high_1 - share_1) ** 2 + (share_2 - low_2) ** 2)
    difference, pooled = (first - second) / 100, (first + second) / 200
    error = sqrt(2 * pooled * (1 - pooled) / episodes)
    z = difference / error if error else 0.0
    return Unpaired(100 * difference, 100 * low, 100 * high, z, 2 * NormalDist().cdf(-abs(z)))


def stratified(rates: Sequence[tuple[float, float]], episodes: int) -> Unpaired:
    """Compare the average of two rows over several suites, of each of which there are so many episodes per row.

    Source: z is the root of the test of N. Mantel and W. Haenszel, Journal of the National Cancer Institute 22 (1959) 719-748
    (Cochran-Mantel-Haenszel), without a continuity correction, of the nearest whole counts: suites differ, and to pool
    them would count their differences as chance. The interval is that of the mean of the suites' differences.

    Args:
        rates: of the first row and of the second, of each suite.
        episodes: of a row and suite.
    """
    excess = spread = 0.0
    parts = []
    for first, second in rates:
        k_1, k_2 = (round(Fraction(Decimal(str(rate))) * episodes / 100) for rate in (first, second))
        together, everything = k_1 + k_2, 2 * episodes
        excess += k_1 - together / 2
        spread += together * (everything - together) / (4 * (everything - 1))
        one = unpaired(first, second, episodes)
        parts.append((1 / len(rates), Difference(one.difference, one.low, one.high)))
    mean = combined(parts)
    z = excess / sqrt(spread) if spread else 0.0
    return Unpaired(mean.value, mean.low, mean.high, z, 2 * NormalDist().cdf(-abs(z)))


def episodes_needed(first: float, second: float) -> int | None:
    """Return the fewest episodes per row at which these two rates have p < 0.05; None if they are equal."""
    if first == second:
        return None
    pooled = (first + second) / 200
    return ceil(Z**2 * 2 * pooled * (1 - pooled) / ((first - second) / 100) ** 2)


@dataclass(frozen=True)
class QueryTime:
    """Where the time of a query goes, in seconds."""

    per_token: float  # decoded
    before: float  # the first token: tokenizers and prompt


def query_time(single_fps: float, chunk_fps: float, chunk: int, tokens_per_action: int) -> QueryTime:
    """Split the time of a query into what each decoded token takes and the rest.

    Solves fps = K / (before + (tokens_per_action K + 1) per_token) for K = 1 and K = ``chunk`` actions per query; the
    last token ends the answer.

    Raises:
        ValueError: a chunk of fewer than two actions.
    """
    if chunk < 2:
        raise ValueError(f"a chunk of {chunk} actions: expected at least two, for two equations")
    single, many = 1 / single_fps, chunk / chunk_fps
    per_token = (many - single) / (tokens_per_action * (chunk - 1))
    return QueryTime(per_token, single - (tokens_per_action + 1) * per_token)
