"""The page of figure 7: a world model or video prediction, which of them helps the action model."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import charts, successes
from worldvla.reporting.markdown import page
from worldvla.reporting.provenance import of_rollouts
from worldvla.reporting.runs import TWO_KINDS
from worldvla.reporting.successes import Comparison, Row, Runs, groups

ROWS = [
    Row("without", "the action model alone", "action model alone", "action_chunk_mask"),
    Row("world", "the model with a world model", "with a world model", "action_world_chunk_mask"),
    Row("video", "the model with video prediction", "with video prediction", "action_video_chunk_mask"),
]
COMPARISONS = [
    Comparison("world", "without", "a world model helps", "higher on every suite"),
    Comparison("video", "without", "video prediction helps", "higher on two suites, lower on one"),
]


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``figure7.md`` and its chart.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `ROWS`.
        timing: folder of the wall-clock files.
    """
    present = successes.present(runs)
    if present:
        title = f"Figure 7 on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
        charts.success_bars(folder / "figure7.png", ROWS, groups(runs), title)
    text = page(
        f"# Figure 7 at scale `{params.scale}`: a world model or video prediction beside the action model",
        f"Rollouts on the benchmark `{params.benchmark}`, seed {params.seed}, from initial states that no "
        "demonstration used. All three models answer with chunks, under our mask; the first two are rows 4 and 5 of "
        "[table 3](table3.md). Video prediction sees the instruction and no action. Intervals are Wilson's at 95 %, "
        "over episodes.",
        TWO_KINDS,
        "The paper has a chart without numbers. Its text says: the world model helps on every suite; video "
        "prediction helps on two and hurts on one.",
        "![success rates with intervals](figure7.png)" if present else "",
        *[
            block
            for group, members in groups(runs).items()
            for block in successes.section(params, ROWS, COMPARISONS, group, members)
        ],
        "## Where the numbers come from",
        of_rollouts(present, timing),
    )
    (folder / "figure7.md").write_text(text, encoding="utf-8")
