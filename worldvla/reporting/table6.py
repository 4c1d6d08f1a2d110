"""The page of table 6: what it does to the action model to start from the world model's weights."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import rate_pages
from worldvla.reporting.published import published
from worldvla.reporting.successes import Comparison, Row, Runs

ROWS = [
    Row(
        "without",
        "the model without pretraining",
        "action model",
        "action",
        published("table6")["without_world_pretraining"],
    ),
    Row(
        "with",
        "the model with pretraining",
        "action model, from the world model's weights",
        "action_from_world",
        published("table6")["with_world_pretraining"],
    ),
]
COMPARISONS = [Comparison("with", "without", "training as a world model first helps")]


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``table6.md``.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `ROWS`.
        timing: folder of the wall-clock files.
    """
    rate_pages.write(
        folder,
        "table6",
        params,
        runs,
        timing,
        title="success rates with and without pretraining as a world model",
        about="Neither model answers with chunks; the one without pretraining is row 1 of [table 3](table3.md). The "
        "other starts from the weights of table 4's world model and then trains for as many steps: it has had more "
        "training in all. The paper's numbers are for LIBERO and a model of 7 B, n = 450 by all signs.",
        blocks=rate_pages.sections(params, ROWS, COMPARISONS, runs),
    )
