"""A number of ours, with its intervals over trainings and over initial states or clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from worldvla.metrics.bootstrap import mean_interval
from worldvla.metrics.success import Difference, combined, wilson
from worldvla.metrics.trainings import Contrast, contrast
from worldvla.params.report import ReportParams
from worldvla.params.trainings import model_name
from worldvla.reporting.inputs.clips import FVD, Clip, VideoMetrics, gap
from worldvla.reporting.inputs.runs import Run
from worldvla.reporting.words import Ends

ONE_CLIP = "one clip: no interval"
NO_SCORE = "not computed: weights absent"
Side = tuple[str, str]  # of clips: who predicted them, and from which actions: true, shuffled, or none


@dataclass(frozen=True)
class Measured:
    """A success rate in percent, or a score of clips; of several suites the mean over them."""

    value: float
    beside: Ends | None  # its interval over initial states or clips; of one clip there is none
    own: Sequence[Sequence[float]]  # each training's number, suite by suite; nothing of a baseline
    unit: str = ""

    @property
    def over(self) -> Ends | None:
        """Its interval over trainings; of a rate only what a rate can be."""
        arms = [(1 / len(self.own), numbers) for numbers in self.own]
        ends = interval_of(contrast(arms)) if arms else None
        return (max(0.0, ends[0]), min(100.0, ends[1])) if ends and self.unit == "%" else ends

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
    return Measured(fmean(map(fmean, own)), ends, own, "%")


def score(
    params: ReportParams, suite: VideoMetrics, side: Side, horizon: int, column: str, factor: float
) -> Measured | str:
    """Return the mean score of clips, with the bootstrap interval of a clip's mean over trainings, or why there is none."""
    found = scores_of(params, suite, side, horizon, column)
    if isinstance(found, str):
        return found
    shared = [clip for clip in found[0] if all(clip in one for one in found)]
    values = factor * np.array([[one[clip] for clip in shared] for one in found], np.float64)
    means = values.mean(axis=0)
    if wrong := int((~np.isfinite(means)).sum()):
        return f"not a number in {wrong} of {means.size} scores"
    ends = mean_interval(means, params.seed) if means.size > 1 else None
    own = [values.mean(axis=1).tolist()] if suite.trainings(side[0]) and side[1] == "true" else []
    return Measured(float(means.mean()), ends, own)


def scores_of(
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


def interval_of(found: Contrast | None) -> Ends | None:
    """Return the ends of an interval over trainings, if there is one."""
    return (found.low, found.high) if found else None
