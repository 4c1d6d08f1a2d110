"""The page of table 3: what chunking, the action mask and the world model do to success rates."""

from pathlib import Path
from typing import Any

import yaml

from worldvla.metrics.success import Paired, paired
from worldvla.params.report import ReportParams
from worldvla.reporting import figures
from worldvla.reporting.markdown import page, table
from worldvla.reporting.provenance import provenance
from worldvla.reporting.runs import SUITES, Absent, Run, read_run, shared_outcomes

# Row of the table -> our variant, and what it is.
ROWS = {
    1: ("action", "action model"),
    2: ("action_world", "action world model"),
    3: ("action_chunk", "action model, chunks"),
    4: ("action_chunk_mask", "action model, chunks, our mask"),
    5: ("action_world_chunk_mask", "action world model, chunks, our mask"),
}
COMPARISONS = ((4, 1), (4, 3))  # rows: does the first do better than the second?
SIGNIFICANCE = 0.05
PUBLISHED = Path(__file__).with_name("published.yaml")

Runs = dict[str, dict[int, Run | Absent]]  # suite -> row -> run


def read_runs(rollouts: Path, params: ReportParams) -> Runs:
    """Return the runs of the table, suites in the paper's order."""
    return {
        suite: {row: read_run(rollouts, params, variant, suite) for row, (variant, _) in ROWS.items()}
        for suite in SUITES
        if suite in params.suites
    }


def verdict(params: ReportParams) -> str:
    """Return why our numbers cannot be compared with the paper's; where they can, what is left to judge."""
    reasons = ["other benchmark"] * (params.benchmark != "libero") + ["other model"] * (params.scale != "paper")
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable: see the interval"


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``table3.md`` and its pictures.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: from `read_runs`.
        timing: folder of the wall-clock files.
    """
    present = [run for rows in runs.values() for run in rows.values() if isinstance(run, Run)]
    labels = {row: f"{row}: {label}" for row, (_, label) in ROWS.items()}
    bars = {label: [rows[row] for rows in runs.values()] for row, label in labels.items()}
    bars = {label: group for label, group in bars.items() if any(isinstance(run, Run) for run in group)}
    if present:
        title = f"Table 3 on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
        figures.success_bars(folder / "table3.png", list(runs), bars, title)
    text = page(
        f"# Table 3 at scale `{params.scale}`: success rates with and without chunks, action mask and world model",
        f"Rollouts on the benchmark `{params.benchmark}`, seed {params.seed}, from initial states that no demonstration "
        "used. The paper's numbers are for LIBERO and a model of 7 B; it does not state their n, which is 450 by all signs "
        "(9 tasks of 50 rollouts). Intervals are Wilson's at 95 %, over episodes.",
        "![success rates with intervals](table3.png)" if present else "",
        *[block for suite, rows in runs.items() for block in _suite(folder, params, suite, rows)],
        "## Where the numbers come from",
        provenance(present, timing) or "No run has data yet.",
    )
    (folder / "table3.md").write_text(text, encoding="utf-8")


def headline(params: ReportParams, runs: Runs) -> str:
    """Return the table of the first page: rows of the paper by suites."""
    paper = published()
    header, right = ["Row", "Model"], ["Row"]
    for suite in runs:
        header += [f"{suite}: ours", f"{suite}: paper"]
        right.append(f"{suite}: paper")
    lines = []
    for row, (_, label) in ROWS.items():
        cells = [[_brief(rows[row]), f"{paper[row][suite]:.1f} %"] for suite, rows in runs.items()]
        lines.append([str(row), label, *[cell for pair in cells for cell in pair]])
    return table(header, lines, right)


def _brief(run: Run | Absent) -> str:
    if isinstance(run, Absent):
        return str(run)
    low, high = run.rate.interval
    return f"{run.rate} = {100 * run.rate.fraction:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def published() -> dict[int, dict[str, Any]]:
    """Return the paper's rows: row -> what the model has, and its success rate in percent by suite."""
    return yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))["table3"]


def _suite(folder: Path, params: ReportParams, suite: str, rows: dict[int, Run | Absent]) -> list[str]:
    """Return the blocks of one suite, and write its picture of episodes."""
    present = {row: run for row, run in rows.items() if isinstance(run, Run)}
    blocks = [f"## {suite.capitalize()} suite", _settings(params, suite), _rates(params, suite, rows)]
    if failures := [f"row {row}: {run.policy_failures}" for row, run in present.items() if run.policy_failures]:
        blocks.append(f"Episodes that ended because the answer was no chunk of actions: {', '.join(failures)}.")
    if not present:
        return blocks
    pairs = [(first, second) for first, second in COMPARISONS if first in present and second in present]
    if pairs:
        blocks += [
            f"### {suite.capitalize()}: row against row",
            "On the same initial states. The difference has Newcombe's interval for paired rates, p is McNemar's exact "
            f"test; a row is higher where p < {SIGNIFICANCE}.",
            _pairs(present, pairs),
        ]
    blocks += [f"### {suite.capitalize()}: task by task", _tasks(present)]
    row = max(present, key=lambda row: (row == 4, row))
    picture = f"table3-{suite}.png"
    if figures.strips(folder / picture, present[row]):
        blocks += [
            f"### {suite.capitalize()}: a success and a failure",
            f"Row {row}; of each kind the first in the order of tasks and initial states. Rendered again for people: the "
            "policy sees fewer pixels.",
            f"![frames of a success and of a failure]({picture})",
        ]
    return blocks


def _settings(params: ReportParams, suite: str) -> str:
    """Return the sentence on what the models of a suite have in common."""
    variants = params.variants.values()
    chunks = sorted({variant.chunk[suite] for variant in variants if variant.chunked})
    histories = sorted({variant.history for variant in variants})
    words = [f"Chunks of {' or '.join(map(str, chunks))} actions."] if chunks else []
    return " ".join([*words, f"Frames per query: {' or '.join(map(str, histories))}."])


def _rates(params: ReportParams, suite: str, rows: dict[int, Run | Absent]) -> str:
    lines = []
    for row, run in rows.items():
        line = [str(row), ROWS[row][1], f"{published()[row][suite]:.1f} %"]
        if isinstance(run, Run):
            low, high = run.rate.interval
            rate = f"{100 * run.rate.fraction:.1f} %"
            line += [str(run.rate), rate, f"{100 * low:.1f} to {100 * high:.1f} %", verdict(params)]
        else:
            line += [str(run), "", "", ""]
        lines.append(line)
    header = ["Row", "Model", "Paper", "Ours", "Rate", "95 % interval", "Verdict"]
    return table(header, lines, right=["Row", "Paper", "Ours", "Rate", "95 % interval"])


def _pairs(present: dict[int, Run], pairs: list[tuple[int, int]]) -> str:
    header = ["Rows", "n", "Both", "Only first", "Only second", "Neither", "Difference", "95 % interval", "p", "Reads"]
    lines = []
    for first, second in pairs:
        outcomes = shared_outcomes(present[first], present[second])
        if not outcomes[0].size:
            lines.append([f"{first} against {second}", "0", *[""] * 7, "no initial state in common"])
            continue
        result = paired(*outcomes)
        counts = [outcomes[0].size, result.both, result.only_first, result.only_second, result.neither]
        lines.append(
            [
                f"{first} against {second}",
                *[str(count) for count in counts],
                f"{100 * result.difference:+.1f} points",
                f"{100 * result.low:+.1f} to {100 * result.high:+.1f}",
                f"{result.p_value:.3f}" if result.p_value >= 0.001 else "< 0.001",
                _reading(result, first),
            ]
        )
    return table(header, lines, right=header[1:-1])


def _reading(result: Paired, first: int) -> str:
    if result.p_value >= SIGNIFICANCE:
        return "inconclusive"
    return f"row {first} is {'higher' if result.difference > 0 else 'lower'}"


def _tasks(present: dict[int, Run]) -> str:
    rates = {row: run.rates_by_task() for row, run in present.items()}
    tasks = list(dict.fromkeys(task for by_task in rates.values() for task in by_task))
    columns = [f"Row {row}" for row in rates]
    lines = [[task, *[str(by_task.get(task, "")) for by_task in rates.values()]] for task in tasks]
    return table(["Task", *columns], lines, right=columns)
