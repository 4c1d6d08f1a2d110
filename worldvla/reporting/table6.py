"""The page of table 6: what it does to the action model to start from the world model's weights."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import successes
from worldvla.reporting.markdown import page
from worldvla.reporting.provenance import of_rollouts
from worldvla.reporting.published import published
from worldvla.reporting.successes import Comparison, Row, Runs, groups

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
    text = page(
        f"# Table 6 at scale `{params.scale}`: success rates with and without pretraining as a world model",
        f"Rollouts on the benchmark `{params.benchmark}`, seed {params.seed}, from initial states that no "
        "demonstration used. Neither model answers with chunks; the one without pretraining is row 1 of [table "
        "3](table3.md). The other starts from the weights of table 4's world model and then trains for as many "
        "steps: it has had more training in all. The paper's numbers are for LIBERO and a model of 7 B, n = 450 by "
        "all signs. Intervals are Wilson's at 95 %, over episodes.",
        *[
            block
            for group, members in groups(runs).items()
            for block in successes.section(params, ROWS, COMPARISONS, group, members)
        ],
        "## Where the numbers come from",
        of_rollouts(successes.present(runs), timing),
    )
    (folder / "table6.md").write_text(text, encoding="utf-8")
