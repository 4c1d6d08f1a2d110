"""The paper's claims as comparisons of ours, each with its n, judged by the thresholds of params.yaml."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from worldvla.metrics.power import smallest_paired_mean, smallest_paired_rate
from worldvla.params.report import ReportParams
from worldvla.reporting import scores, successes
from worldvla.reporting.clips import FVD, Clip, VideoMetrics
from worldvla.reporting.runs import SUITES, Absent, Episodes
from worldvla.reporting.successes import Row, Runs
from worldvla.reporting.table4 import paper_horizons

Verdict = Literal["supported", "contradicted", "inconclusive", "not run"]


@dataclass(frozen=True)
class Claim:
    """An entry of ``claims.yaml``, which says what each field means."""

    claim: str
    where: str
    kind: Literal["rates", "clips"]
    variants: Sequence[str] | None
    direction: Literal["higher", "lower"]
    paper: Sequence[Sequence[str | int]] | None
    every_suite: bool = False
    denied: bool = False
    says: str = ""
    metric: Literal["", "psnr", "fvd"] = ""
    frames: int = 0


CLAIMS = {
    key: Claim(**entry)
    for key, entry in yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8")).items()
}
_ROLLED_OUT = dict.fromkeys(name for claim in CLAIMS.values() if claim.kind == "rates" for name in claim.variants or ())
ROWS = [Row(name, name, name, name) for name in _ROLLED_OUT]


@dataclass(frozen=True)
class Outcome:
    """What a comparison gave: on one suite, or on all together."""

    group: str
    reads: Verdict
    num: int  # episodes or clips that both have; 0 where the claim is not run
    ours: str  # first against second, or why there is none
    effect: str = ""  # first minus second, with its interval
    test: str = ""
    tasks: str = ""
    smallest: str = ""  # effect that would be found


@dataclass(frozen=True)
class Judged:
    """A claim and how it reads."""

    claim: Claim
    outcomes: Sequence[Outcome]  # one, or one per suite
    reads: Verdict

    @property
    def num(self) -> int:
        """Episodes or clips behind the verdict."""
        return sum(outcome.num for outcome in self.outcomes)

    @property
    def words(self) -> str:
        """The verdict; of a claim about every suite, with how many there were."""
        ran = sum(outcome.num > 0 for outcome in self.outcomes)
        return f"{self.reads}: {ran} of {len(SUITES)} suites" if self.claim.every_suite and ran else self.reads


def judge(params: ReportParams, runs: Runs, metrics: Mapping[str, VideoMetrics | Absent]) -> dict[str, Judged]:
    """Judge every claim of ``claims.yaml``.

    Args:
        params: what the reports are about, with the thresholds.
        runs: the runs of `ROWS`.
        metrics: scored clips by suite.
    """
    judged = {}
    for key, claim in CLAIMS.items():
        if claim.variants is None:
            outcomes = [Outcome("", "not run", 0, "params.yaml has no such runs")]
        elif claim.kind == "clips":
            outcomes = [_clips(params, claim, claim.variants, metrics)]
        else:
            groups = runs if claim.every_suite else dict([list(successes.groups(runs).items())[-1]])
            outcomes = [
                _rates(params, claim, group, *(members[name] for name in claim.variants))
                for group, members in groups.items()
            ]
        judged[key] = Judged(claim, outcomes, together(claim, [outcome.reads for outcome in outcomes]))
    return judged


def verdict(claim: Claim, low: float, high: float, margin: float) -> Verdict:
    """Return how a claim reads by the interval of its effect: the first of the rules on the page that holds."""
    if claim.direction == "lower":
        low, high = -high, -low
    shown, refuted = low > 0, high < 0 or (-margin < low and high < margin)
    supported, contradicted = (refuted, shown) if claim.denied else (shown, refuted)
    return "supported" if supported else "contradicted" if contradicted else "inconclusive"


def together(claim: Claim, reads: Sequence[Verdict]) -> Verdict:
    """Return how a claim reads by its suites: one counterexample decides a claim about every suite.

    A claim that something fails on some suite is the other way round: one example decides for it, and against it speaks
    nothing less than all suites of the paper.
    """
    ran = [read for read in reads if read != "not run"]
    if not ran:
        return "not run"
    decisive, other = ("supported", "contradicted") if claim.denied else ("contradicted", "supported")
    if decisive in ran:
        return decisive
    enough = len(ran) == len(SUITES) or not (claim.denied and claim.every_suite)
    return other if set(ran) == {other} and enough else "inconclusive"


def _rates(
    params: ReportParams, claim: Claim, group: str, first: Episodes | Absent, second: Episodes | Absent
) -> Outcome:
    if isinstance(first, Absent) or isinstance(second, Absent):
        return Outcome(group, "not run", 0, str(first if isinstance(first, Absent) else second))
    result = successes.compare(first, second)
    if result is None:
        return Outcome(group, "not run", 0, successes.NOTHING_SHARED)
    disagree = result.only_first + result.only_second
    num, settings = result.both + disagree + result.neither, params.claims
    smallest = smallest_paired_rate(num, disagree, settings.significance, settings.power)
    low, high = 100 * result.low, 100 * result.high
    p_value = f"p = {result.p_value:.3f}" if result.p_value >= 0.001 else "p < 0.001"
    return Outcome(
        group,
        verdict(claim, low, high, settings.margin_points),
        num,
        f"{result.both + result.only_first}/{num} against {result.both + result.only_second}/{num}",
        f"{successes.points(100 * result.difference)} ({low:+.1f} to {high:+.1f})",
        f"McNemar, {p_value}",
        _tasks(first, second),
        "none: too few episodes" if smallest is None else f"{100 * smallest:.1f} points",
    )


def _tasks(first: Episodes, second: Episodes) -> str:
    """Return on how many tasks the first succeeds more and less often, on the initial states that both have seen."""
    a, b = first.by_start(), second.by_start()
    gains: Counter[tuple[str, int]] = Counter()
    for start in a:
        if start in b:
            gains[start[:2]] += int(a[start]["success"]) - int(b[start]["success"])
    up, down = sum(gain > 0 for gain in gains.values()), sum(gain < 0 for gain in gains.values())
    return f"{up} up, {down} down, {len(gains) - up - down} even"


def _clips(
    params: ReportParams, claim: Claim, variants: Sequence[str], metrics: Mapping[str, VideoMetrics | Absent]
) -> Outcome:
    """Compare on the clips of all suites together, at our length that stands beside the paper's."""
    ours = [horizon for horizon, paper in paper_horizons(params).items() if paper == claim.frames]
    if not ours:
        return Outcome("", "not run", 0, "no clips of this length")
    horizon = claim.frames if claim.frames in ours else ours[0]
    columns: list[dict[Clip, float | None]] = [{}, {}]
    suites = []
    for name, suite in metrics.items():
        if isinstance(suite, Absent):
            return Outcome("", "not run", 0, str(suite))
        suites.append(suite)
        for column, variant in zip(columns, variants, strict=True):
            found = suite.scores(variant, "true", horizon, scores.PSNR.column)
            if not found:
                planned = variant in params.variants and params.variants[variant].generate
                return Outcome("", "not run", 0, str(Absent(f"generate@{variant}-{name}", planned)))
            column.update({(f"{name}/{task}", demo): value for (task, demo), value in found.items()})
    if claim.metric == "fvd":
        return _distances(suites, variants, horizon)
    result = scores.compare(columns[0], columns[1], params.seed)
    if isinstance(result, str):
        one = result == scores.ONE_CLIP
        return Outcome("", "inconclusive" if one else "not run", int(one), result)
    shared = [clip for clip in columns[0] if clip in columns[1]]
    first, second = (np.array([column[clip] for clip in shared], np.float64) for column in columns)
    smallest = smallest_paired_mean(first - second, params.claims.significance, params.claims.power)
    return Outcome(
        "",
        verdict(claim, result.low, result.high, params.claims.margin_db),
        result.num_clips,
        f"{first.mean():.2f} against {second.mean():.2f} dB, {horizon} frames",
        f"{result.difference:+.2f} dB ({result.low:+.2f} to {result.high:+.2f})",
        "bootstrap over clips",
        smallest=f"{smallest:.2f} dB",
    )


def _distances(suites: Sequence[VideoMetrics], variants: Sequence[str], horizon: int) -> Outcome:
    """Return both distances of every suite: there is no interval of their difference."""
    cells, num = [], 0
    for suite in suites:
        first, second = (suite.distance(variant, "true", horizon) for variant in variants)
        if first is None or second is None or first["extractor"] != FVD:
            return Outcome("", "not run", 0, scores.ABSENT)
        cells.append(f"{scores.number(first['distance'])} against {scores.number(second['distance'])} ({suite.suite})")
        num += first["num_clips"]
    return Outcome("", "inconclusive", num, f"{', '.join(cells)}, {horizon} frames", "no interval", "none")
