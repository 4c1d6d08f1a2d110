"""Our numbers and how far they lie apart: over trainings, which decides, and over initial states or clips, which stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from statistics import fmean, stdev

import numpy as np

from worldvla.metrics.bootstrap import mean_interval
from worldvla.metrics.success import Difference, combined, paired, wilson
from worldvla.metrics.trainings import Contrast, contrast
from worldvla.params.claims import ClaimsParams
from worldvla.params.report import ReportParams
from worldvla.params.trainings import model_name
from worldvla.reporting.inputs.clips import FVD, Clip, VideoMetrics, gap
from worldvla.reporting.inputs.runs import Absent, Rollouts, Run

NOTHING_SHARED = "no initial state in common"
ONE_CLIP = "one clip: no interval"
NO_SCORE = "not computed: weights absent"
Side = tuple[str, str]  # of clips: who predicted them, and from which actions: true, shuffled, or none
Ends = tuple[float, float]  # of an interval
Arm = tuple[float, Sequence[float]]  # a weight and the numbers of a model's trainings


@dataclass(frozen=True)
class Measured:
    """A success rate in percent, or a score of clips; of several suites the mean over them."""

    value: float
    beside: Ends | None  # its interval over initial states or clips; of one clip there is none
    own: Sequence[Sequence[float]]  # each training's number, suite by suite; nothing of a baseline
    significance: float  # of the interval over trainings
    unit: str = ""

    @property
    def over(self) -> Ends | None:
        """Its interval over trainings."""
        arms = [(1 / len(self.own), numbers) for numbers in self.own]
        return interval_of(contrast(arms, self.significance)) if arms else None

    @property
    def spreads(self) -> list[float | None]:
        """How far single trainings spread, suite by suite; None where there is one."""
        return [stdev(numbers) if len(numbers) > 1 else None for numbers in self.own]

    @property
    def lone(self) -> Sequence[float]:
        """Each training's number, where there is one suite."""
        return self.own[0] if len(self.own) == 1 else ()

    def __str__(self) -> str:
        """Return the number, its interval over initial states or clips, and the spread of the trainings in one cell."""
        decimals, unit = (1, " %") if self.unit == "%" else (2, "")
        ends = " to ".join(f"{end:.{decimals}f}" for end in self.beside) if self.beside else ONE_CLIP
        spreads = [one for one in self.spreads if one is not None]
        spread = f"; SD {fmean(spreads):.{decimals}f}" if spreads and self.beside else ""
        return f"{self.value:.{decimals}f}{unit} ({ends}){spread}"


def rate(params: ReportParams, runs: Sequence[Run]) -> Measured:
    """Return a success rate: the mean over the trainings of a suite, then over suites.

    The interval is Wilson's of each suite, a state counted once however many trainings tried it, joined over suites.
    """
    parts, own = [], [list(run.rates().values()) for run in runs]
    for run in runs:
        solved, num = sum(run.states.values()), len(run.states)
        parts.append((1 / len(runs), Difference(solved / num, *wilson(min(solved, num), num))))
    found = combined(parts)
    ends = 100 * max(0.0, found.low), 100 * min(1.0, found.high)
    return Measured(fmean(map(fmean, own)), ends, own, params.claims.significance, "%")


def score(
    params: ReportParams, suite: VideoMetrics, side: Side, horizon: int, column: str, factor: float
) -> Measured | str:
    """Return the mean score of clips, with the bootstrap interval of a clip's mean over trainings, or why there is none."""
    found = _scores(params, suite, side, horizon, column)
    if isinstance(found, str):
        return found
    shared = [clip for clip in found[0] if all(clip in one for one in found)]
    values = factor * np.array([[one[clip] for clip in shared] for one in found], np.float64)
    means = values.mean(axis=0)
    if wrong := int((~np.isfinite(means)).sum()):
        return f"not a number in {wrong} of {means.size} scores"
    ends = mean_interval(means, params.seed) if means.size > 1 else None
    own = [values.mean(axis=1).tolist()] if suite.trainings(side[0]) and side[1] == "true" else []
    return Measured(float(means.mean()), ends, own, params.claims.significance)


@dataclass(frozen=True)
class Effect:
    """The first's number minus the second's; of several suites the mean over them."""

    unit: str  # points, log odds, dB, or nothing
    first: Sequence[Arm]  # weights above zero
    second: Sequence[Arm]  # weights below zero
    num_trainings: tuple[int, ...]  # of each variant that is compared, the same on every suite
    # The interval over initial states or clips, of these trainings alone; none of two pairs, which share the states.
    beside: Ends | None
    num: int  # initial states or clips that all have
    settings: ClaimsParams
    notes: tuple[str, ...] = ()  # what else differs between them

    @property
    def means(self) -> tuple[float, float]:
        """Of the first and of the second; of two pairs, by how much each differs."""
        first, second = (sum(weight * fmean(numbers) for weight, numbers in arms) for arms in (self.first, self.second))
        return first, -second

    @property
    def value(self) -> float:
        """How large it is."""
        return self.means[0] - self.means[1]

    @cached_property
    def trainings(self) -> Contrast | None:
        """What the trainings say of it; None where an arm has one, or no two differ."""
        return contrast([*self.first, *self.second], self.settings.significance)

    def minus(self, other: "Effect") -> "Effect":
        """Return by how much it is larger than the effect of another pair."""
        second = [(-weight, numbers) for weight, numbers in (*other.first, *other.second)]
        counts, notes = self.num_trainings + other.num_trainings, tuple(dict.fromkeys(self.notes + other.notes))
        return replace(
            self, first=[*self.first, *self.second], second=second, num_trainings=counts, beside=None, notes=notes
        )

    @property
    def words(self) -> str:
        """The effect with its unit."""
        return signed(self.value, self.unit)

    @property
    def over(self) -> Ends | None:
        """Its interval over trainings."""
        return interval_of(self.trainings)

    @property
    def too_few(self) -> str:
        """How many trainings there are where an arm has too few, and a verdict is not given; else nothing."""
        if min(self.num_trainings) >= self.settings.trainings:
            return ""
        listed = " and ".join(str(num) for num in dict.fromkeys(self.num_trainings))
        return f"{listed} training{'s' * (listed != '1')} per arm; expected {self.settings.trainings}"

    @property
    def reads(self) -> str:
        """What it says of the first: higher, lower or open; and what else differs."""
        if self.too_few:
            way = f"too few trainings: {self.too_few}"
        elif self.trainings is None or self.trainings.low <= 0 <= self.trainings.high:
            way = "open"
        else:
            way = "higher" if self.value > 0 else "lower"
        return "; ".join([way, *self.notes])


def decimal(value: float, unit: str = "", sign: str = "") -> str:
    """Return a number with the decimals of its unit."""
    return f"{value:{sign}.{2 if unit in ('dB', 'log odds') else 1}f}"


def signed(value: float, unit: str = "") -> str:
    """Return a difference with its sign and unit."""
    return f"{decimal(value, unit, '+')} {unit}".rstrip()


def span(ends: Ends | None, unit: str = "points") -> str:
    """Return an interval in words; why there is none."""
    return " to ".join(decimal(end, unit, "+") for end in ends) if ends else "no interval"


def between(ends: Ends | None) -> str:
    """Return the interval of a rate in percent; nothing where there is none."""
    return f"{ends[0]:.1f} to {ends[1]:.1f}" if ends else ""


def interval_of(found: Contrast | None) -> Ends | None:
    """Return the ends of an interval over trainings, if there is one."""
    return (found.low, found.high) if found else None


def steps(params: ReportParams, variant: str) -> float:
    """Return how long a model was trained, in lengths of one kind of samples, the model that it started from included."""
    one = params.variants[variant]
    return one.times * len(one.samples) + (steps(params, one.start) if one.start in params.variants else 0)


def confounded(params: ReportParams, first: str, second: str) -> tuple[str, ...]:
    """Return what else is different between two variants: how long they were trained; nothing if it is the same."""
    if first not in params.variants or second not in params.variants:
        return ()
    ratio = steps(params, first) / steps(params, second)
    longer = "the first" if ratio > 1 else "the second"
    return () if ratio == 1 else (f"{longer} trained {max(ratio, 1 / ratio):g} times as long",)


def rates(
    params: ReportParams, rollouts: Rollouts, pair: tuple[str, str], suites: Sequence[str], unit: str = "points"
) -> Effect | str:
    """Compare success rates, or say why that is not possible.

    Args:
        params: what the reports are about.
        rollouts: of all variants.
        pair: the first and the second variant.
        suites: compared one by one, each with the same weight.
        unit: points, or log odds of each training's rate, half an episode added to either outcome.
    """
    found = [rollouts.all_of(name, suites) for name in pair]
    ran = [runs for runs in found if not isinstance(runs, Absent)]
    if len(ran) < len(found):
        return next(str(runs) for runs in found if isinstance(runs, Absent))
    arms: list[list[Arm]] = [[], []]
    parts, num, counts = [], 0, dict[str, int]()
    for runs in zip(*ran, strict=True):
        if unlike := _unlike(params, *runs):
            return unlike
        solved = [run.states for run in runs]
        shared = [state for state in solved[0] if state in solved[1]]
        if not shared:
            return NOTHING_SHARED
        parts.append((1 / len(suites), paired(*(np.array([states[one] for one in shared]) for states in solved))))
        num += len(shared)
        for arm, sign, run in zip(arms, (1, -1), runs, strict=True):
            numbers = list(run.rates(shared).values())
            counts[run.variant] = len(numbers)
            if unit != "points":
                numbers = [_log_odds(one, len(shared)) for one in numbers]
            arm.append((sign / len(suites), numbers))
    states = combined(parts)
    beside = 100 * states.low, 100 * states.high
    return Effect(unit, arms[0], arms[1], tuple(counts.values()), beside, num, params.claims, confounded(params, *pair))


def _log_odds(percent: float, episodes: int) -> float:
    successes = percent * episodes / 100
    return log((successes + 0.5) / (episodes - successes + 0.5))


def _unlike(params: ReportParams, first: Run, second: Run) -> str:
    """Return why two rows may not be compared: they were made at another scale or with another simulator."""
    if first.variant not in params.variants or second.variant not in params.variants:
        return ""
    kinds = ["simulator"]
    # Images of one size have one tokenizer, made with the sizes of one file of conf/.
    kinds += ["tokenizer"] * (params.variants[first.variant].images == params.variants[second.variant].images)
    a, b = (next(iter(run.parts.values())) for run in (first, second))
    words = [kind for kind in kinds if a.made_of[kind] != b.made_of[kind]]
    differ = f"refused: {a.name} and {b.name} differ in the {' and '.join(words)}, as of two scales or machines"
    return f"{differ}: run `dvc repro {a.stage} {b.stage}`" if words else ""


def clips(
    params: ReportParams,
    metrics: Mapping[str, VideoMetrics | Absent],
    sides: Sequence[Side],
    horizon: int,
    column: str,
    factor: float = 1.0,
    unit: str = "dB",
) -> Effect | str:
    """Compare a score on the clips that both have, or say why that is not possible.

    Args:
        params: what the reports are about.
        metrics: by suite; each has the same weight.
        sides: the first and the second.
        horizon: length of the clips in frames.
        column: of clips.parquet; fvd, the distance of the sets, has no interval over clips.
        factor: by which the score is multiplied.
        unit: of the score then.
    """
    arms: list[list[Arm]] = [[], []]
    parts, num, counts = [], 0, dict[Side, int]()
    for suite in metrics.values():
        if isinstance(suite, Absent):
            return str(suite)
        found = [_scores(params, suite, side, horizon, column) for side in sides]
        known = [one for one in found if not isinstance(one, str)]
        if len(known) < len(found):
            return next(one for one in found if isinstance(one, str))
        counts |= {side: len(one) for side, one in zip(sides, known, strict=True)}
        shared = [clip for clip in known[0][0] if all(clip in one for trainings in known for one in trainings)]
        if not shared:
            return "no clip in common"
        values = [np.array([[one[clip] for clip in shared] for one in trainings], float) for trainings in known]
        if wrong := sum(int((~np.isfinite(one)).sum()) for one in values):
            return f"not a number in {wrong} of {sum(one.size for one in values)} scores"
        for side, sign, one in zip(arms, (1, -1), values, strict=True):
            side.append((sign / len(metrics), (factor * one.mean(axis=1)).tolist()))
        differences = factor * (values[0].mean(axis=0) - values[1].mean(axis=0))
        if len(shared) > 1:
            ends = mean_interval(differences, params.seed)
            parts.append((1 / len(metrics), Difference(float(differences.mean()), *ends)))
        distance = suite.distance(sides[0][0], "true", horizon) if column == "fvd" else None
        num += distance["num_clips"] if distance else len(shared)
    together = combined(parts)
    beside = (together.low, together.high) if len(parts) == len(metrics) else None
    notes = confounded(params, *(name for name, _ in sides))
    return Effect(unit, arms[0], arms[1], tuple(counts.values()), beside, num, params.claims, notes)


def _scores(
    params: ReportParams, suite: VideoMetrics, side: Side, horizon: int, column: str
) -> Sequence[Mapping[Clip, float]] | str:
    """Return a score by clip of each training, or the distance of each training's set; why there is none where one is missing."""
    source, actions = side
    names = [model_name(source, number) for number in suite.trainings(source)] or [source]
    if column == "fvd":
        rows = [suite.distance(name, actions, horizon) for name in names]
        scores = [{("", ""): row["distance"] if row["extractor"] == FVD else None} if row else {} for row in rows]
    else:
        scores = [suite.scores(name, actions, horizon, column) for name in names]
    if not all(scores):
        return str(gap(params, suite, source))
    known = [{clip: value for clip, value in one.items() if value is not None} for one in scores]
    return known if known == scores else NO_SCORE
