"""How far models lie apart: over their trainings, which decides, and over initial states or clips, which stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import fmean

import numpy as np

from worldvla.metrics.bootstrap import mean_interval
from worldvla.metrics.success import Difference, combined, paired, wilson
from worldvla.metrics.trainings import Contrast, contrast
from worldvla.params.report import ReportParams
from worldvla.params.trainings import model_name
from worldvla.reporting.inputs.clips import FVD, Clip, VideoMetrics, gap
from worldvla.reporting.inputs.runs import Absent, Rollouts, Run

NOTHING_SHARED = "no initial state in common"
NO_SCORE = "not computed: weights absent"
Term = tuple[str, str]  # two variants: what the first has more than the second


@dataclass(frozen=True)
class Effect:
    """The first's number minus the second's; of several suites the mean over them."""

    unit: str  # points, log odds, dB, or nothing
    value: float
    trainings: Contrast | None  # its interval over trainings; None where an arm has one, or no two differ
    num_trainings: tuple[int, ...]  # of each variant that is compared, the same on every suite
    # The interval over initial states or clips, of these trainings alone; none of two pairs, which share the states.
    beside: tuple[float, float] | None
    num: int  # initial states or clips that all have
    means: tuple[float, float]  # of the first and of the second; of two pairs, by how much each differs
    notes: tuple[str, ...] = ()  # what else differs between them

    @property
    def words(self) -> str:
        """The effect with its unit."""
        return signed(self.value, self.unit)

    def too_few(self, least: int) -> str:
        """How many trainings there are where an arm has fewer than so many, and a verdict is not given; else nothing."""
        if min(self.num_trainings) >= least:
            return ""
        listed = " and ".join(str(num) for num in dict.fromkeys(self.num_trainings))
        return f"{listed} training{'s' * (listed != '1')} per arm; expected {least}"


def signed(value: float, unit: str) -> str:
    """Return a difference with its sign and unit."""
    return f"{value:+.{2 if unit in ('dB', 'log odds') else 1}f} {unit}".rstrip()


def span(ends: tuple[float, float] | None, unit: str = "points") -> str:
    """Return an interval in words; why there is none."""
    if ends is None:
        return "no interval"
    low, high = (signed(end, unit).removesuffix(unit).strip() for end in ends)
    return f"{low} to {high}"


def between(ends: tuple[float, float] | None) -> str:
    """Return the interval of a rate in percent; nothing where there is none."""
    return f"{ends[0]:.1f} to {ends[1]:.1f}" if ends else ""


def interval_of(found: Contrast | None) -> tuple[float, float] | None:
    """Return the ends of an interval over trainings, if there is one."""
    return (found.low, found.high) if found else None


def rate_interval(runs: Sequence[Run]) -> tuple[float, float]:
    """Return the 95 % interval of a success rate over initial states, in percent.

    Wilson's of each suite, a state counted once however many trainings tried it, joined over suites.
    """
    parts = []
    for run in runs:
        solved, num = sum(run.states.values()), len(run.states)
        parts.append((1 / len(runs), Difference(solved / num, *wilson(min(solved, num), num))))
    found = combined(parts)
    return 100 * max(0.0, found.low), 100 * min(1.0, found.high)


def rate(runs: Sequence[Run]) -> float:
    """Return a success rate in percent: the mean over the trainings of a suite, then over suites."""
    return fmean(fmean(run.rates().values()) for run in runs)


def steps(params: ReportParams, variant: str) -> float:
    """Return how long a model was trained, in lengths of one kind of samples, the model that it started from included."""
    one = params.variants[variant]
    return one.times * len(one.samples) + (steps(params, one.start) if one.start in params.variants else 0)


def times_as_long(params: ReportParams, first: str, second: str) -> str:
    """Return how many times as long as the second the first was trained, in words; nothing if one of them is unknown."""
    if first not in params.variants or second not in params.variants:
        return ""
    return f"{steps(params, first) / steps(params, second):.2g} times as long"


def confounded(params: ReportParams, first: str, second: str) -> str:
    """Return what else is different between two variants: how long they were trained; nothing if it is the same."""
    if first not in params.variants or second not in params.variants:
        return ""
    ratio = steps(params, first) / steps(params, second)
    longer = "the first" if ratio > 1 else "the second"
    return "" if ratio == 1 else f"{longer} trained {max(ratio, 1 / ratio):g} times as long"


def rates(
    params: ReportParams, rollouts: Rollouts, terms: Sequence[Term], suites: Sequence[str], unit: str = "points"
) -> Effect | str:
    """Compare success rates, or say why that is not possible.

    Args:
        params: what the reports are about.
        rollouts: of all variants.
        terms: one pair of variants; of two pairs, how much more the first pair differs than the second.
        suites: compared one by one, each with the same weight.
        unit: points, or log odds of each training's rate, half an episode added to either outcome.
    """
    arms: list[tuple[float, Sequence[float]]] = []
    parts: list[tuple[float, Difference]] = []
    num, counts, notes = 0, dict[str, int](), []
    for sign, (one, other) in zip((1, -1), terms, strict=False):
        notes.append(confounded(params, one, other))
        pair = [rollouts.all_of(name, suites) for name in (one, other)]
        for runs in pair:
            if isinstance(runs, Absent):
                return str(runs)
        for first, second in zip(*[runs for runs in pair if not isinstance(runs, Absent)], strict=True):
            if unlike := _unlike(params, first, second):
                return unlike
            a, b = first.states, second.states
            shared = [state for state in a if state in b]
            if not shared:
                return NOTHING_SHARED
            weight = sign / len(suites)
            parts.append((weight, paired(np.array([a[s] for s in shared]), np.array([b[s] for s in shared]))))
            for share, run in ((weight, first), (-weight, second)):
                found = list(run.rates(shared).values())
                counts[run.variant] = len(found)
                arms.append((share, found if unit == "points" else [_log_odds(one, len(shared)) for one in found]))
            num += len(shared)
    means = (_mean(arms, 1), _mean(arms, -1))
    beside = None
    if len(terms) == 1:
        episodes = combined(parts)
        beside = (100 * episodes.low, 100 * episodes.high)
    else:
        size = 2 * len(suites)
        means = (_sum(arms[:size]), -_sum(arms[size:]))
    return Effect(
        unit,
        _sum(arms),
        contrast(arms),
        tuple(counts.values()),
        beside,
        num // len(terms),
        means,
        tuple(dict.fromkeys(filter(None, notes))),
    )


def _sum(arms: Sequence[tuple[float, Sequence[float]]]) -> float:
    return sum(weight * fmean(numbers) for weight, numbers in arms)


def _mean(arms: Sequence[tuple[float, Sequence[float]]], sign: int) -> float:
    return fmean(fmean(numbers) for weight, numbers in arms if weight * sign > 0)


def _log_odds(percent: float, episodes: int) -> float:
    successes = percent * episodes / 100
    return log((successes + 0.5) / (episodes - successes + 0.5))


def _unlike(params: ReportParams, first: Run, second: Run) -> str:
    """Return why two rows may not be compared: they were made at another scale or with another simulator."""
    one, other = (params.variants.get(params.planner(run.variant) or run.variant) for run in (first, second))
    if one is None or other is None:
        return ""
    kinds = ["simulator"]
    # Images of one size have one tokenizer, made with the sizes of one file of conf/.
    kinds += ["tokenizer"] * (one.images == other.images)
    a, b = (next(iter(run.parts.values())) for run in (first, second))
    words = [kind for kind in kinds if a.made_of[kind] != b.made_of[kind]]
    differ = f"refused: {a.name} and {b.name} differ in the {' and '.join(words)}, as of two scales or machines"
    return f"{differ}: run `dvc repro {a.stage} {b.stage}`" if words else ""


def clips(
    params: ReportParams,
    metrics: Mapping[str, VideoMetrics | Absent],
    variants: Sequence[str],
    horizon: int,
    column: str,
    factor: float = 1.0,
    unit: str = "dB",
) -> Effect | str:
    """Compare a score of two models on the clips that both have, or say why that is not possible.

    Args:
        params: what the reports are about.
        metrics: by suite; each has the same weight.
        variants: the first and the second.
        horizon: length of the clips in frames.
        column: of clips.parquet; fvd, the distance of the sets, has no interval over clips.
        factor: by which the score is multiplied.
        unit: of the score then.
    """
    arms, parts, num, counts = [], [], 0, dict[str, int]()
    for suite in metrics.values():
        if isinstance(suite, Absent):
            return str(suite)
        found = [_scores(suite, name, horizon, column) for name in variants]
        for name, trainings in zip(variants, found, strict=True):
            if not trainings:
                return NO_SCORE if suite.trainings(name) else str(gap(params, suite, name))
            counts[name] = len(trainings)
        shared = [clip for clip in found[0][0] if all(clip in one for trainings in found for one in trainings)]
        if not shared:
            return "no clip in common"
        values = [np.array([[one[clip] for clip in shared] for one in trainings], float) for trainings in found]
        if wrong := sum(int((~np.isfinite(one)).sum()) for one in values):
            return f"not a number in {wrong} of {sum(one.size for one in values)} scores"
        arms += [
            (sign / len(metrics), (factor * one.mean(axis=1)).tolist())
            for sign, one in zip((1, -1), values, strict=True)
        ]
        differences = factor * (values[0].mean(axis=0) - values[1].mean(axis=0))
        if len(shared) > 1:
            ends = mean_interval(differences, params.seed)
            parts.append((1 / len(metrics), Difference(float(differences.mean()), *ends)))
        distance = suite.distance(variants[0], "true", horizon) if column == "fvd" else None
        num += distance["num_clips"] if distance else len(shared)
    together = combined(parts)
    return Effect(
        unit,
        _sum(arms),
        contrast(arms),
        tuple(counts.values()),
        (together.low, together.high) if len(parts) == len(metrics) else None,
        num,
        (_mean(arms, 1), _mean(arms, -1)),
        tuple(filter(None, [confounded(params, variants[0], variants[1])])),
    )


def _scores(suite: VideoMetrics, variant: str, horizon: int, column: str) -> Sequence[Mapping[Clip, float]]:
    """Return a score by clip of each training, or the distance of each training's set; nothing where one is not computed."""
    names = [model_name(variant, number) for number in suite.trainings(variant)]
    if column == "fvd":
        rows = [suite.distance(name, "true", horizon) for name in names]
        found = [{("", ""): float(row["distance"])} for row in rows if row and row["extractor"] == FVD]
    else:
        scores = [suite.scores(name, "true", horizon, column) for name in names]
        known = [{clip: value for clip, value in one.items() if value is not None} for one in scores]
        found = [one for one, all_of in zip(known, scores, strict=True) if one and len(one) == len(all_of)]
    return found if len(found) == len(names) else []
