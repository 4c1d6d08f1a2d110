"""The page of table 2: the benchmark, with all demonstrations for training and images of two sizes."""

import math
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import rate_pages, released, successes
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.successes import Comparison, Row, Runs

VARIANTS = ("all_data", "all_data_other")  # ours, of the main size of images and of the other one
# The paper's rows that stand beside ours, by the keys of ours.
PAPER = {"smaller": "worldvla_256", "larger": "worldvla_512"}
SUITES = ("spatial", "object", "goal", "long", "average")  # in the order of the paper's table 2
OURS = (
    "Action world models with chunks under our mask, trained on all episodes of all tasks and scored on every task; the sides "
    "of their images differ. Our smaller images stand beside the paper's 256 pixels, our larger ones beside its 512. A code "
    "weighs the same at both sizes, as in the paper, so that a larger image weighs more. The tokenizers are of the split's "
    "training episodes, as for all other models."
)
PAPERS = "The paper's numbers are for LIBERO and a model of 7 B, n = 500 (10 tasks of 50 rollouts)."
COMPARISONS = [Comparison("larger", "smaller", "larger images help")]


def rows(params: ReportParams) -> list[Row]:
    """Return our two rows, then those of the paper's own weights."""
    return ours(params) + released.rows(params)


def ours(params: ReportParams) -> list[Row]:
    """Return our two rows: first the one of the smaller images, whichever variant that is."""
    sizes = {variant: params.variants[variant].pixels for variant in VARIANTS if variant in params.variants}
    ordered = sorted(VARIANTS, key=lambda variant: sizes.get(variant, math.inf))
    found = []
    for (key, paper), variant in zip(PAPER.items(), ordered, strict=True):
        size = f"{sizes[variant]} px" if variant in sizes else f"{key} images"
        name, label = f"the model with {size}", f"action world model, {size}"
        # One size alone is neither the smaller nor the larger.
        beside = published("table2")[paper] if len(sizes) == len(VARIANTS) else {}
        found.append(Row(key, name, label, variant, beside, every_task=True))
    return found


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``table2.md``.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `rows`.
        timing: folder of the wall-clock files.
    """
    listed = released.shown(params, rows(params), runs)
    own = any(row in listed for row in ours(params))
    compared = [*COMPARISONS, *released.comparisons(params)]
    rate_pages.write(
        folder,
        "table2",
        params,
        runs,
        timing,
        title="success rates by suite with all demonstrations for training, and images of two sizes",
        about=" ".join(filter(None, [OURS if own else "", PAPERS, released.about(params)])),
        blocks=[
            successes.headline(params, listed, runs),
            *rate_pages.sections(params, listed, compared, runs),
            *released.section(params, runs),
            "## The paper's other rows",
            "Success rates in percent, as printed. An empty cell: not printed. Nothing here trains these models.",
            _others(),
        ],
    )


def _others() -> str:
    """Return the paper's rows that are not of its own model."""
    lines = [
        [row["name"], row["actions"], "yes" if row["pretraining"] else "no", *[_cell(row, suite) for suite in SUITES]]
        for key, row in published("table2").items()
        if key not in PAPER.values()
    ]
    suites = [suite.capitalize() for suite in SUITES]
    return table(["Model", "Actions", "Pretraining", *suites], lines, right=suites)


def _cell(row: dict[str, float], suite: str) -> str:
    return f"{row[suite]:.1f}" if suite in row else ""
