"""The page of figure 7: a world model or video prediction, which of them helps the action model."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import rate_pages
from worldvla.reporting.runs import TWO_KINDS
from worldvla.reporting.successes import Comparison, Row, Runs

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
    rate_pages.write(
        folder,
        "figure7",
        params,
        runs,
        timing,
        title="a world model or video prediction beside the action model",
        about="All three models answer with chunks, under our mask; the first two are rows 4 and 5 of [table "
        "3](table3.md). Video prediction sees the instruction and no action.",
        blocks=[
            TWO_KINDS,
            "The paper has a chart without numbers. Its text says: the world model helps on every suite; video "
            "prediction helps on two and hurts on one.",
            rate_pages.bars(folder, "figure7", params, ROWS, runs),
            *rate_pages.sections(params, ROWS, COMPARISONS, runs),
        ],
    )
