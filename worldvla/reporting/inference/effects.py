"""How far models lie apart: over trainings, which decides, and over initial states or clips, which stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from statistics import fmean

import numpy as np

from worldvla.metrics.bootstrap import mean_interval
from worldvla.metrics.success import Difference, combined, paired
from worldvla.metrics.trainings import Contrast, contrast
from worldvla.params.claims import ClaimsParams
from worldvla.params.report import ReportParams
from worldvla.reporting.inference.measured import Side, interval_of, scores_of
from worldvla.reporting.inputs.clips import VideoMetrics
from worldvla.reporting.inputs.runs import Absent, Rollouts, Run
from worldvla.reporting.words import Ends, signed

NOTHING_SHARED = "no initial state in common"
Arm = tuple[float, Sequence[float]]  # a weight and the numbers of a model's trainings


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
        first, second = (
            sum(sign * weight * fmean(numbers) for weight, numbers in arms)
            for sign, arms in ((1, self.first), (-1, self.second))
        )
        return first, second

    @property
    def value(self) -> float:
        """How large it is."""
        return self.means[0] - self.means[1]

    @cached_property
    def trainings(self) -> Contrast | None:
        """What the trainings say of it; None where an arm has one, or no two differ."""
        return contrast([*self.first, *self.second])

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


def steps(params: ReportParams, variant: str) -> float:
    """Return how long a model was trained, in lengths of one kind of samples, the model that it started from included."""
    one = params.variants[variant]
    return one.times * len(one.samples) + (steps(params, one.start) if one.start in params.variants else 0)


def times_as_long(params: ReportParams, first: str, second: str) -> str:
    """Return how many times as long as the second the first was trained, in words; nothing if one of them is unknown."""
    if first not in params.variants or second not in params.variants:
        return ""
    return f"{steps(params, first) / steps(params, second):.2g} times as long"


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
        found = [scores_of(params, suite, side, horizon, column) for side in sides]
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
