"""The paper's claims as comparisons of ours, each with its n, judged by the thresholds of params.yaml."""

from collections.abc import Mapping

from worldvla.params.report import ReportParams
from worldvla.reporting import chunk_lengths, clip_claims, rate_claims, table2
from worldvla.reporting.clips import VideoMetrics
from worldvla.reporting.runs import Absent
from worldvla.reporting.successes import Row, Runs
from worldvla.reporting.verdicts import CLAIMS, Claim, Judged, Outcome, together

_NAMED = [name for claim in CLAIMS.values() if claim.kind == "rates" for name in claim.variants or ()]
_PAIRED = [name for names in chunk_lengths.NAMES for name in names]
ROWS = [Row(name, name, name, name) for name in dict.fromkeys([*_NAMED, *_PAIRED])]
ROWS += [Row(name, name, name, name, every_task=True) for name in table2.VARIANTS]


def judge(params: ReportParams, runs: Runs, metrics: Mapping[str, VideoMetrics | Absent]) -> dict[str, Judged]:
    """Judge every claim of ``claims.yaml``.

    Args:
        params: what the reports are about, with the thresholds.
        runs: the runs of `ROWS`.
        metrics: scored clips by suite.
    """
    judged = {}
    for key, claim in CLAIMS.items():
        outcomes = _outcomes(params, claim, runs, metrics)
        judged[key] = Judged(claim, outcomes, together(claim, [outcome.reads for outcome in outcomes]))
    return judged


def _outcomes(
    params: ReportParams, claim: Claim, runs: Runs, metrics: Mapping[str, VideoMetrics | Absent]
) -> list[Outcome]:
    variants = claim.variants or ()
    if claim.compares == "pixels":
        smaller, larger = table2.ours(params)
        variants = (larger.variant, smaller.variant)
    if claim.kind == "clips":
        return [clip_claims.outcome(params, claim, variants, metrics)]
    return rate_claims.outcomes(params, claim, variants, runs)
