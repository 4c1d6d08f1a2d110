"""What the predicted clips say of the paper's claims."""

from collections.abc import Mapping, Sequence

import numpy as np

from worldvla.metrics.power import smallest_paired_mean
from worldvla.params.report import ReportParams
from worldvla.reporting import scores
from worldvla.reporting.clips import FVD, Clip, VideoMetrics, gap
from worldvla.reporting.runs import Absent
from worldvla.reporting.table4 import paper_horizons
from worldvla.reporting.trainings import too_few
from worldvla.reporting.verdicts import Claim, Outcome, verdict


def outcome(
    params: ReportParams, claim: Claim, variants: Sequence[str], metrics: Mapping[str, VideoMetrics | Absent]
) -> Outcome:
    """Compare on the clips of all suites together, at our length that stands beside the paper's."""
    ours = [horizon for horizon, paper in paper_horizons(params).items() if paper == claim.frames]
    if not ours:
        return Outcome("", "not run", 0, "no clips of this length")
    horizon = claim.frames if claim.frames in ours else ours[0]
    columns: list[dict[Clip, float | None]] = [{}, {}]
    suites, trainings = [], []
    for name, suite in metrics.items():
        if isinstance(suite, Absent):
            return Outcome("", "not run", 0, str(suite))
        suites.append(suite)
        for column, variant in zip(columns, variants, strict=True):
            trainings.append(len(suite.trainings(variant)))
            found = suite.scores(variant, "true", horizon, scores.PSNR.column)
            if not found:
                return Outcome("", "not run", 0, str(gap(params, suite, variant)))
            column.update({(f"{name}/{task}", demo): value for (task, demo), value in found.items()})
    few = too_few(min(trainings), params.claims.trainings)
    if claim.metric == "fvd":
        return _distances(suites, variants, horizon, few)
    result = scores.compare(columns[0], columns[1], params.seed)
    if isinstance(result, str):
        one = result == scores.ONE_CLIP
        return Outcome("", ("not judged" if few else "inconclusive") if one else "not run", int(one), result, few=few)
    shared = [clip for clip in columns[0] if clip in columns[1]]
    first, second = (np.array([column[clip] for clip in shared], np.float64) for column in columns)
    smallest = smallest_paired_mean(first - second, params.claims.significance, params.claims.power)
    return Outcome(
        "",
        "not judged" if few else verdict(claim, result.low, result.high, params.claims.margin_db),
        result.num_clips,
        f"{first.mean():.2f} against {second.mean():.2f} dB, {horizon} frames",
        f"{result.difference:+.2f} dB ({result.low:+.2f} to {result.high:+.2f})",
        "bootstrap over clips",
        smallest=f"{smallest:.2f} dB",
        variants=variants,
        few=few,
    )


def _distances(suites: Sequence[VideoMetrics], variants: Sequence[str], horizon: int, few: str) -> Outcome:
    """Return both distances of every suite: there is no interval of their difference."""
    cells, num = [], 0
    for suite in suites:
        first, second = (suite.distance(variant, "true", horizon) for variant in variants)
        if first is None or second is None or first["extractor"] != FVD:
            return Outcome("", "not run", 0, scores.ABSENT)
        cells.append(f"{scores.number(first['distance'])} against {scores.number(second['distance'])} ({suite.suite})")
        num += first["num_clips"]
    reads, ours = "not judged" if few else "inconclusive", f"{', '.join(cells)}, {horizon} frames"
    return Outcome("", reads, num, ours, "no interval", "none", variants=variants, few=few)
