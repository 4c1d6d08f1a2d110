"""What the pages about success rates have in common: how they begin and end, a section per suite, a chart of bars."""

from collections.abc import Sequence
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import charts, successes
from worldvla.reporting.markdown import page
from worldvla.reporting.provenance import of_rollouts
from worldvla.reporting.successes import Comparison, Row, Runs, groups


def write(
    folder: Path,
    name: str,
    params: ReportParams,
    runs: Runs,
    timing: Path,
    *,
    title: str,
    about: str,
    blocks: Sequence[str],
    sources: str = "",
) -> None:
    """Write a page.

    Args:
        folder: the reports.
        name: of the page, e.g. table3.
        params: what the reports are about.
        runs: behind the page's numbers.
        timing: folder of the wall-clock files.
        title: what the page shows.
        about: sentences on what is special about its runs.
        blocks: between the beginning and the provenance of the runs.
        sources: the provenance of what else there is.
    """
    text = page(
        f"# {_printed(name)} at scale `{params.scale}`: {title}",
        f"Rollouts on the benchmark `{params.benchmark}`, seed {params.seed}, from initial states that no "
        f"demonstration used. {about} Intervals are Wilson's at 95 %, over the episodes of all trainings together.",
        *blocks,
        "## Where the numbers come from",
        of_rollouts(successes.present(runs), timing),
        sources,
    )
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


def sections(params: ReportParams, rows: Sequence[Row], comparisons: Sequence[Comparison], runs: Runs) -> list[str]:
    """Return the blocks of every suite, and of their average."""
    return [
        block
        for group, members in groups(runs).items()
        for block in successes.section(params, rows, comparisons, group, members)
    ]


def bars(folder: Path, name: str, params: ReportParams, rows: Sequence[Row], runs: Runs) -> str:
    """Draw the rates with their intervals; return the block that shows them, or nothing without any run."""
    if not successes.present(runs):
        return ""
    charts.success_bars(folder / f"{name}.png", params, rows, groups(runs), chart_title(name, params))
    return f"![success rates with intervals]({name}.png)"


def chart_title(name: str, params: ReportParams) -> str:
    """Return what stands above a page's chart."""
    return f"{_printed(name)} on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"


def _printed(name: str) -> str:
    return f"{name[:-1].capitalize()} {name[-1]}"
