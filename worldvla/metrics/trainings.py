"""What trainings say: the difference of models whose trainings are the sample, its power, and corrected p values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance

from scipy.optimize import brentq
from scipy.stats import nct, t

from worldvla.params.claims import SIGNIFICANCE

MOST_TRAININGS = 1000  # more are not looked for: no one runs them
SURE = 30.0  # standard errors, from which on the chance is 1 to many digits
FAR = 5.0  # standard errors, from which on the tail on the other side is nothing, and scipy's is not a number


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the means of several arms, each of which is the numbers of a model's trainings."""

    value: float
    low: float
    high: float  # its interval, over trainings
    p_value: float  # two-sided
    spread: float  # standard deviation of one training, of two arms their root mean square, in the numbers' unit
    degrees: float  # of freedom
    arms: int  # how many there are: two per suite


def contrast(arms: Sequence[tuple[float, Sequence[float]]]) -> Contrast | None:
    """Return Welch's t of a weighted sum of means; None where an arm has one training, or no two trainings differ.

    Source: B. L. Welch, Biometrika 34 (1947) 28-35, and F. E. Satterthwaite's degrees of freedom. Of two arms with the
    weights 1 and -1 it is the t test of unequal variances. The average of several suites is an arm per suite, each with
    its share: strata, not one sample.

    Args:
        arms: weight and the numbers of the trainings of each.
    """
    if min(len(numbers) for _, numbers in arms) < 2:
        return None
    parts = [(weight**2 * variance(numbers), len(numbers)) for weight, numbers in arms]
    error = sum(part / num for part, num in parts)
    if error == 0:
        return None
    value = sum(weight * fmean(numbers) for weight, numbers in arms)
    degrees = error**2 / sum((part / num) ** 2 / (num - 1) for part, num in parts)
    half = float(t.ppf(1 - SIGNIFICANCE / 2, degrees)) * sqrt(error)
    p_value = 2 * float(t.sf(abs(value) / sqrt(error), degrees))
    return Contrast(
        value, value - half, value + half, p_value, sqrt(sum(part for part, _ in parts) / 2), degrees, len(arms)
    )


def power(difference: float, spread: float, trainings: int, arms: int = 2) -> float:
    """Return the chance that a t test finds a true difference, from the noncentral t distribution; all arms spread alike.

    Args:
        difference: of the two means, at least 0.
        spread: standard deviation of one training, in the same unit, above 0.
        trainings: of each arm, at least 2.
        arms: how many there are; each adds its degrees of freedom.
    """
    degrees, shift = arms * (trainings - 1), difference / (spread * sqrt(2 / trainings))
    if shift > SURE:
        return 1.0
    critical = t.ppf(1 - SIGNIFICANCE / 2, degrees)
    other = nct.cdf(-critical, degrees, shift) if shift < FAR else 0.0
    return float(nct.sf(critical, degrees, shift) + other)


def smallest_effect(spread: float, trainings: int, wanted: float, arms: int = 2) -> float:
    """Return the smallest true difference that is found with the wanted chance, in the unit of the spread."""
    most = spread
    while power(most, spread, trainings, arms) < wanted:
        most *= 2
    return float(brentq(lambda one: power(one, spread, trainings, arms) - wanted, 0, most))


def trainings_needed(difference: float, spread: float, wanted: float, arms: int = 2) -> int | None:
    """Return the fewest trainings of each arm that find a difference with the wanted chance; None above a thousand."""
    if difference == 0:
        return None
    low, high = 1, 2
    while power(abs(difference), spread, high, arms) < wanted:
        if high > MOST_TRAININGS:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(abs(difference), spread, middle, arms) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high if high <= MOST_TRAININGS else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in the given order.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70; valid however the tests depend on each other.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
