"""A few numbers for ``dvc exp show`` and ``dvc exp diff``: table 3's success rates and table 4's last PSNR."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from worldvla.files import write_json
from worldvla.params.report import ReportParams
from worldvla.reporting.clips import VideoMetrics
from worldvla.reporting.runs import Absent, Run
from worldvla.reporting.successes import Row, Runs


def write(
    folder: Path,
    params: ReportParams,
    rows: list[Row],
    runs: Runs,
    metrics: Mapping[str, VideoMetrics | Absent],
) -> None:
    """Write ``metrics.json``: percent of successes and PSNR in dB, by suite and variant; what is absent is left out.

    Args:
        folder: the reports.
        params: what the reports are about.
        rows: those of table 3.
        runs: their runs.
        metrics: scored clips by suite.
    """
    variants = {row.key: row.variant for row in rows}
    success = {
        suite: {variants[key]: round(run.rate.percent, 1) for key, run in group.items() if isinstance(run, Run)}
        for suite, group in runs.items()
    }
    horizon = max(params.horizons)
    psnr = {
        suite: {name: round(_mean(scored, name, horizon), 2) for name in scored.models}
        for suite, scored in metrics.items()
        if isinstance(scored, VideoMetrics)
    }
    write_json(folder / "metrics.json", {"success_percent": success, f"psnr_{horizon}_frames": psnr})


def _mean(scored: VideoMetrics, name: str, horizon: int) -> float:
    values = [value for value in scored.scores(name, "true", horizon, "psnr").values() if value is not None]
    return float(np.mean(values))
