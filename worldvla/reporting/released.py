"""The section on the paper's own weights: what they are, and every task by itself."""

from collections.abc import Mapping

from worldvla.metrics.outliers import lower_than_others
from worldvla.params.released import CHECKPOINTS
from worldvla.params.report import ReportParams
from worldvla.reporting.markdown import table
from worldvla.reporting.provenance import simulator
from worldvla.reporting.published import published
from worldvla.reporting.runs import Absent, Run
from worldvla.reporting.successes import SIGNIFICANCE, Comparison, Row, Runs

PAPER = {"released_256": "worldvla_256", "released_512": "worldvla_512"}  # their rows of the paper's table 2

RULE = (
    f"A task is low where p < {SIGNIFICANCE}: Fisher's exact test, one-sided, of its rate against all other tasks of the suite "
    "together, corrected after Holm for the number of tasks. Tasks differ in truth, so that low is no proof of a fault; but a "
    "single task at a few percent beside others at ninety is what a wrong simulator looks like: then watch its films, and "
    "check the versions below."
)


def rows(params: ReportParams) -> list[Row]:
    """Return a row per checkpoint."""
    found = []
    for name in params.released:
        label = f"the paper's weights, {CHECKPOINTS[name].pixels} px"
        found.append(Row(name, label, label, name, published("table2")[PAPER[name]], every_task=True))
    return found


def comparisons(params: ReportParams) -> list[Comparison]:
    """Return the comparison of the two sizes of images, if both are there."""
    both = set(params.released) == set(PAPER)
    return [Comparison("released_512", "released_256", "larger images help")] if both else []


def about(params: ReportParams) -> str:
    """Return the sentences on what the checkpoints are; nothing without any."""
    if not params.released:
        return ""
    return (
        "Rows of the paper's weights are its authors' checkpoints, one per suite, nothing of which was trained here: asked as "
        "the release asks (two frames, chunks of 5 actions, 10 on the long suite, a token that is no action counts as the "
        "nearest), scored on every task."
    )


def section(params: ReportParams, runs: Runs) -> list[str]:
    """Return the blocks on the checkpoints' tasks: a table per suite; nothing without any run."""
    blocks, found = [], []
    for suite, group in runs.items():
        present = {name: run for name in params.released if isinstance(run := group[name], Run)}
        found += present.values()
        if present:
            blocks += [f"### {suite.capitalize()}: the paper's weights, task by task", _tasks(present)]
    if not found:
        return []
    origins = sorted({part.made_of["released"] for run in found for part in run.parts.values()})
    return [
        "## The paper's weights, task by task",
        RULE,
        *blocks,
        f"{simulator(found)} The release itself has MuJoCo 3.2.7.",
        "Weights:",
        "\n".join(f"- {origin}" for origin in origins),
    ]


def shown(params: ReportParams, rows: list[Row], runs: Runs) -> list[Row]:
    """Return the rows to show: beside checkpoints, ours only where they have been run."""
    if not params.released:
        return rows
    return [
        row
        for row in rows
        if row.variant in params.released or not all(isinstance(group[row.key], Absent) for group in runs.values())
    ]


def _tasks(present: Mapping[str, Run]) -> str:
    lines = []
    for name, run in present.items():
        rates = run.rates_by_task()
        p_values = lower_than_others([(rate.successes, rate.episodes) for rate in rates.values()])
        for (task, rate), p_value in zip(rates.items(), p_values, strict=True):
            low, high = rate.interval
            line = [name, task, str(rate), f"{rate.percent:.1f} %", f"{low:.1f} to {high:.1f} %"]
            lines.append([*line, f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001", "low" * (p_value < SIGNIFICANCE)])
    header = ["Weights", "Task", "Successes", "Rate", "95 % interval", "p", "Flag"]
    return table(header, lines, right=["Successes", "Rate", "95 % interval", "p"])
