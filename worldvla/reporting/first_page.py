"""The first page: what the paper claims and what we see, the tables in short, and the list of pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import figure7, successes, table3, table4, table6, world_models
from worldvla.reporting.clips import VideoMetrics
from worldvla.reporting.markdown import page, table
from worldvla.reporting.published import comparability
from worldvla.reporting.runs import Absent
from worldvla.reporting.scores import PSNR
from worldvla.reporting.successes import Comparison, Row, Runs

PAGES = {
    "table3": "Table 3: chunks, action mask and world model; intervals, rows compared, tasks, episodes",
    "table4": "Table 4: predicted clips; scores, use of the action, copying, the two world models compared",
    "table6": "Table 6: the action model that starts from the world model's weights",
    "figure4": "Figure 4: the same episodes by the action model and by the action world model",
    "figure5": "Figure 5: predicted clips below the truth, as pictures and in motion",
    "figure7": "Figure 7: a world model or video prediction beside the action model",
}


def write_page(
    folder: Path,
    params: ReportParams,
    runs: Mapping[str, Runs],
    metrics: Mapping[str, VideoMetrics | Absent],
) -> None:
    """Write ``README.md``.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: page -> the runs of its rows, for table 3, table 6 and figure 7.
        metrics: scored clips by suite.
    """
    text = page(
        f"# WorldVLA, reproduced at scale `{params.scale}`",
        f"Benchmark `{params.benchmark}`, {params.demonstrations} demonstrations, seed {params.seed}. Ours and the "
        f"paper's are {comparability(params)}. In brackets the 95 % interval: Wilson's for success rates, over "
        "episodes; bootstrap for PSNR, over clips.",
        "## What the paper claims",
        "Differences on the same initial states, or on the same clips. Rates are read as higher or lower where "
        f"McNemar's exact test has p < {successes.SIGNIFICANCE}, PSNR where the interval excludes zero: of twenty "
        "such lines without any true difference, one would be read so.",
        _claims(params, runs, metrics),
        "## Table 3: success rates",
        successes.headline(params, table3.ROWS, runs["table3"]),
        "## Table 4: predicted clips",
        "PSNR in dB, without the given frame; SSIM, LPIPS and the distances of sets are on the page.",
        table4.headline(params, metrics),
        "## Table 6: pretraining as a world model",
        successes.headline(params, table6.ROWS, runs["table6"]),
        "## Figure 7: world model or video prediction",
        "The paper has a chart without numbers.",
        successes.headline(params, figure7.ROWS, runs["figure7"]),
        "## Pages",
        "\n".join(
            f"- [{title.split(': ', 1)[0]}]({name}.md): {title.split(': ', 1)[1]}" for name, title in PAGES.items()
        ),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _claims(params: ReportParams, runs: Mapping[str, Runs], metrics: Mapping[str, VideoMetrics | Absent]) -> str:
    header = ["Claim", "Suite", "Paper", "Ours", "Reads"]
    lines = _rates(params, "Table 3", table3.ROWS, table3.COMPARISONS, runs["table3"])
    for name, suite in metrics.items():
        for horizon, paper in sorted(table4.paper_horizons(params).items()):
            claim = f"Table 4: the action model helps the world model, {horizon} frames"
            difference = f"{world_models.paper_difference(paper, PSNR.paper)} dB"
            if isinstance(suite, Absent):
                lines.append([claim, name, difference, str(suite), ""])
                continue
            result = world_models.against_world(params, suite, horizon, PSNR)
            if isinstance(result, str):
                lines.append([claim, name, difference, result, ""])
                continue
            ours = f"{result.difference:+.2f} dB ({result.low:+.2f} to {result.high:+.2f})"
            lines.append([claim, name, difference, ours, world_models.verdict(result, PSNR)])
    lines += _rates(params, "Table 6", table6.ROWS, table6.COMPARISONS, runs["table6"])
    # Its other comparison is one of table 3.
    lines += _rates(params, "Figure 7", figure7.ROWS, figure7.COMPARISONS[1:], runs["figure7"])
    return table(header, lines, right=["Paper"])


def _rates(
    params: ReportParams, place: str, rows: Sequence[Row], comparisons: Sequence[Comparison], runs: Runs
) -> list[list[str]]:
    """Return one line per comparison: of the one suite, or of the average of all."""
    by_key, lines = {row.key: row for row in rows}, []
    group, members = list(successes.groups(runs).items())[-1]
    for comparison in comparisons:
        first, second = by_key[comparison.first], by_key[comparison.second]
        paper = successes.paper_difference(params, first, second, group) or comparison.paper
        line = [f"{place}: {comparison.claim}", group, paper]
        a, b = members[first.key], members[second.key]
        if isinstance(a, Absent) or isinstance(b, Absent):
            lines.append([*line, str(a if isinstance(a, Absent) else b), ""])
            continue
        result = successes.compare(a, b)
        if result is None:
            lines.append([*line, successes.NOTHING_SHARED, ""])
            continue
        interval = f"({100 * result.low:+.1f} to {100 * result.high:+.1f})"
        lines.append([*line, f"{successes.points(100 * result.difference)} {interval}", successes.direction(result)])
    return lines
