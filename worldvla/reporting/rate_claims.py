"""What the success rates say of the paper's claims."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from worldvla.metrics.bootstrap import paired_difference
from worldvla.metrics.power import smallest_paired_mean, smallest_paired_rate
from worldvla.params.report import ReportParams
from worldvla.reporting import successes
from worldvla.reporting.chunk_lengths import Pair, pairs
from worldvla.reporting.runs import Absent, Episodes, Start, in_order
from worldvla.reporting.successes import AVERAGE, Group, Runs
from worldvla.reporting.trainings import too_few
from worldvla.reporting.verdicts import Claim, Outcome, verdict

NO_LENGTHS = "`params.yaml` has no chunks of more than one action under both masks"
ONE_LENGTH = "no two lengths above one action"
ALL_THE_SAME = "the gain is the same on every initial state: no interval"


def outcomes(params: ReportParams, claim: Claim, variants: Sequence[str], runs: Runs) -> list[Outcome]:
    """Return what the runs give: on each suite if the claim is about every suite, else on all together.

    Args:
        params: what the reports are about, with the thresholds.
        claim: about success rates.
        variants: the first and the second; none where the claim is about the lengths of chunks.
        runs: by variant.
    """
    if claim.every_suite:
        return [_rates(params, claim, group, members, variants) for group, members in runs.items()]
    group, members = list(successes.groups(runs).items())[-1]
    if variants:
        return [_rates(params, claim, group, members, variants)]
    suites = in_order(params.suites) if group == AVERAGE else [group]
    chunked = [pair for pair in pairs(params, suites) if pair.chunked]
    if claim.compares == "growth":
        return [_growth(params, claim, group, members, chunked)]
    every = [_rates(params, claim, group, members, (pair.masked, pair.plain), pair.words) for pair in chunked]
    return every or [Outcome(group, "not run", 0, NO_LENGTHS)]


def _rates(
    params: ReportParams, claim: Claim, group: str, runs: Group, variants: Sequence[str], length: str = ""
) -> Outcome:
    first, second = (runs[name] for name in variants)
    if why := _other_history(params, claim, variants):
        return Outcome(group, "not run", 0, why)
    if isinstance(first, Absent) or isinstance(second, Absent):
        return Outcome(group, "not run", 0, str(first if isinstance(first, Absent) else second), length=length)
    result = successes.compare(first, second)
    if result is None:
        return Outcome(group, "not run", 0, successes.NOTHING_SHARED, length=length)
    few = too_few(_trainings(_gains(first, second)), params.claims.trainings)
    disagree, settings = result.only_first + result.only_second, params.claims
    num = result.both + disagree + result.neither
    smallest = smallest_paired_rate(num, disagree, settings.significance, settings.power)
    low, high = 100 * result.low, 100 * result.high
    p_value = f"p = {result.p_value:.3f}" if result.p_value >= 0.001 else "p < 0.001"
    return Outcome(
        group,
        "not judged" if few else verdict(claim, low, high, settings.margin_points),
        num,
        f"{result.both + result.only_first}/{num} against {result.both + result.only_second}/{num}",
        _effect(100 * result.difference, low, high),
        f"McNemar, {p_value}",
        _tasks(_gains(first, second)),
        "none: too few episodes" if smallest is None else f"{100 * smallest:.1f} points",
        length,
        variants,
        few,
    )


def _growth(params: ReportParams, claim: Claim, group: str, runs: Group, chunked: Sequence[Pair]) -> Outcome:
    """Compare what the mask gains with the longest chunks that ran and with the shortest, per initial state."""
    gains: dict[Pair, dict[Start, int]] = {}
    gaps = []
    for pair in chunked:
        plain, masked = runs[pair.plain], runs[pair.masked]
        if isinstance(plain, Absent) or isinstance(masked, Absent):
            gaps.append(str(plain if isinstance(plain, Absent) else masked))
        else:
            gains[pair] = _gains(masked, plain)
    ran = list(gains)
    if not ran or ran[0].lengths == ran[-1].lengths:
        return Outcome(group, "not run", 0, gaps[0] if gaps else ONE_LENGTH)
    shortest, longest = ran[0], ran[-1]
    shared = [start for start in gains[longest] if start in gains[shortest]]
    if not shared:
        return Outcome(group, "not run", 0, successes.NOTHING_SHARED)
    long, short = (np.array([gains[pair][start] for start in shared], np.float64) for pair in (longest, shortest))
    ours = f"{longest.words}: {_points(long)}; {shortest.words}: {_points(short)}"
    variants = (longest.masked, longest.plain, shortest.masked, shortest.plain)
    few = too_few(_trainings(shared), params.claims.trainings)
    if np.ptp(long - short) == 0:
        reads = "not judged" if few else "inconclusive"
        return Outcome(group, reads, len(shared), ours, ALL_THE_SAME, "none", variants=variants, few=few)
    result = paired_difference(100 * long, 100 * short, params.seed)
    smallest = smallest_paired_mean(100 * (long - short), params.claims.significance, params.claims.power)
    return Outcome(
        group,
        "not judged" if few else verdict(claim, result.low, result.high, params.claims.margin_points),
        len(shared),
        ours,
        _effect(result.difference, result.low, result.high),
        "bootstrap over initial states",
        _tasks({start: int(gain) for start, gain in zip(shared, long - short, strict=True)}),
        f"{smallest:.1f} points",
        variants=variants,
        few=few,
    )


def _other_history(params: ReportParams, claim: Claim, variants: Sequence[str]) -> str:
    """Return which variant has not the frames that the claim is about; nothing if all have them."""
    for name, frames in zip(variants, claim.history, strict=False):
        if name in params.variants and params.variants[name].history != frames:
            return f"`{name}` has a history of {params.variants[name].history}, the claim is about {frames}"
    return ""


def _effect(difference: float, low: float, high: float) -> str:
    return f"{successes.points(difference)} ({low:+.1f} to {high:+.1f})"


def _points(gains: NDArray[np.float64]) -> str:
    return successes.points(100 * float(gains.mean()))


def _gains(first: Episodes, second: Episodes) -> dict[Start, int]:
    """Return, of the initial states that both have seen, which only the first solves (1) and only the second (-1)."""
    a, b = first.by_start(), second.by_start()
    return {start: int(a[start]["success"]) - int(b[start]["success"]) for start in a if start in b}


def _trainings(starts: Iterable[Start]) -> int:
    """Return how many trainings of each of two variants are compared: those of the same number."""
    return len({start[-1] for start in starts})


def _tasks(gains: Mapping[Start, int]) -> str:
    """Return on how many tasks the first does better and worse."""
    by_task: Counter[tuple[str, int]] = Counter()
    for start, gain in gains.items():
        by_task[start[:2]] += gain
    up, down = sum(gain > 0 for gain in by_task.values()), sum(gain < 0 for gain in by_task.values())
    return f"{up} up, {down} down, {len(by_task) - up - down} even"
