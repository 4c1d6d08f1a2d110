"""What the pages about success rates share: their rows, and each row against another on the same initial states."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worldvla.metrics.success import Paired, paired
from worldvla.params.report import ReportParams
from worldvla.reporting.markdown import table
from worldvla.reporting.published import comparability
from worldvla.reporting.runs import SUITES, Absent, Episodes, Run, in_order, pooled, read_run, shared_outcomes

SIGNIFICANCE = 0.05
AVERAGE = "average"
NOTHING_SHARED = "no initial state in common"
TRAININGS = "Trainings, %"

TEST = (
    "On the same initial states, each training against that of the same number. The difference has Newcombe's interval for paired rates, p is McNemar's exact test; "
    f"a row is higher or lower where p < {SIGNIFICANCE}."
)


@dataclass(frozen=True)
class Row:
    """A row of a table of success rates."""

    key: str  # in tables: 4
    name: str  # in sentences: row 4
    label: str
    variant: str
    paper: Mapping[str, float] = field(default_factory=dict)  # percent by suite, as far as the paper has numbers
    every_task: bool = False  # whether held-out tasks are scored too, whatever ablation_tasks says


@dataclass(frozen=True)
class Comparison:
    """Two rows, by their keys, of which the paper says that the first does better."""

    first: str
    second: str
    claim: str
    paper: str = ""  # what the paper says, where it gives no numbers


Group = Mapping[str, Episodes | Absent]  # by the row's key
Runs = dict[str, dict[str, Run | Absent]]  # suite -> row's key -> run


def read_runs(rollouts: Path, params: ReportParams, rows: Sequence[Row]) -> Runs:
    """Return the runs of a table, suites in the paper's order."""
    return {
        suite: {row.key: read_run(rollouts, params, row.variant, suite, every_task=row.every_task) for row in rows}
        for suite in in_order(params.suites)
    }


def present(runs: Runs) -> list[Run]:
    """Return the runs that have data."""
    return [run for group in runs.values() for run in group.values() if isinstance(run, Run)]


def groups(runs: Runs) -> dict[str, Group]:
    """Return the runs by suite and, if there is more than one, their average: all episodes together."""
    if len(runs) < 2:
        return {**runs}
    keys = next(iter(runs.values()))
    return {**runs, AVERAGE: {key: pooled(group[key] for group in runs.values()) for key in keys}}


def heading(group: str) -> str:
    """Return the title of a group."""
    return "Average of the suites" if group == AVERAGE else f"{group.capitalize()} suite"


def section(
    params: ReportParams, rows: Sequence[Row], comparisons: Sequence[Comparison], group: str, runs: Group
) -> list[str]:
    """Return the blocks of one group: heading, settings, rates, and row against row."""
    return [
        f"## {heading(group)}",
        _average(params, rows, runs) if group == AVERAGE else settings(params, group, rows, runs),
        rates(params, rows, group, runs),
        policy_failures(rows, runs),
        *pairs(params, rows, comparisons, group, runs),
    ]


def tasks(params: ReportParams, runs: Iterable[Episodes | Absent]) -> str:
    """Return the sentence on how many tasks are scored, and which are left out and why; nothing without any run."""
    with_data = [run for run in runs if isinstance(run, Episodes)]
    num = len({(row["suite"], row["task"]) for run in with_data for row in run.rows})
    left_out = sorted({task for run in with_data for task in run.left_out})
    cut = _cut(params, {row["suite"] for run in with_data for row in run.rows})
    if not left_out:
        return f"Scored on {num} task{'s' * (num > 1)}.{cut}" if num else ""
    several = len({suite for suite, _ in left_out}) > 1
    names = ", ".join(f"“{task.replace('_', ' ')}”{f' ({suite})' * several}" for suite, task in left_out)
    be, them = ("is", "it") if len(left_out) == 1 else ("are", "them")
    return (
        f"Scored on {num} of {num + len(left_out)} tasks: {names} {be} left out, for the split `{params.split}` holds "
        f"{them} out of training.{cut}"
    )


def _cut(params: ReportParams, suites: set[str]) -> str:
    """Return the sentence that suites were cut to some of their tasks; nothing if they were not."""
    chosen, every = (
        sum(params.num_tasks[suite][place] for suite in suites & set(params.num_tasks)) for place in (0, 1)
    )
    return f" Of {every} tasks {chosen} were chosen, by `tasks` in params.yaml." if chosen < every else ""


def tasks_but_table2(params: ReportParams, rows: Sequence[Row], runs: Runs) -> str:
    """Return the sentences on how many tasks several pages score, all suites together."""
    sentence = tasks(params, [group[row.key] for group in runs.values() for row in rows if not row.every_task])
    return f"{sentence} Models of table 2 are trained and scored on every task." if sentence else ""


def _average(params: ReportParams, rows: Sequence[Row], runs: Group) -> str:
    """Return the sentences on how the average is taken."""
    words = [
        tasks(params, runs.values()),
        "All episodes together; with the same number of episodes in each suite that is the mean of their rates.",
    ]
    if _has_paper(params, rows, AVERAGE) and set(params.suites) != set(SUITES):
        words.append("The paper's mean is over the same suites.")
    return " ".join(filter(None, words))


def settings(params: ReportParams, suite: str, rows: Sequence[Row], runs: Group) -> str:
    """Return the sentences on the tasks of a suite, and on what its models have in common."""
    variants = [params.variants[row.variant] for row in rows if row.variant in params.variants]
    chunks = sorted({variant.chunk[suite] for variant in variants if variant.chunk[suite] > 1})
    histories = sorted({variant.history for variant in variants})
    words = [tasks(params, runs.values())]
    words += [f"Chunks of {' or '.join(map(str, chunks))} actions."] if chunks else []
    words += [f"Frames per query: {' or '.join(map(str, histories))}."] if histories else []
    return " ".join(filter(None, words))


def rates(params: ReportParams, rows: Sequence[Row], group: str, runs: Group) -> str:
    """Return the table of one group: the paper's number, ours with its interval, and whether they can be compared."""
    lines = []
    for row in rows:
        run = runs[row.key]
        paper = paper_rate(params, row, group)
        line = [row.key, row.label, _percent(paper)]
        if isinstance(run, Absent):
            line += [str(run), "", "", "", ""]
        else:
            low, high = run.rate.interval
            line += [str(run.rate), f"{run.rate.percent:.1f} %", f"{low:.1f} to {high:.1f} %", run.spread]
            released = run if row.variant in params.released else None
            line.append("" if paper is None else comparability(params, released))
        lines.append(line)
    header = ["Row", "Model", "Paper", "Ours", "Rate", "95 % interval", TRAININGS, "Verdict"]
    numbered = ["Row"] * all(row.key.isdigit() for row in rows)
    hidden = [] if _has_paper(params, rows, group) else ["Paper", "Verdict"]
    hidden += [] if any(line[header.index(TRAININGS)] for line in lines) else [TRAININGS]
    shown = [column for column, name in enumerate(header) if name not in hidden]
    lines = [[line[column] for column in shown] for line in lines]
    return table(
        [header[column] for column in shown], lines, right=[*numbered, "Paper", "Ours", "Rate", "95 % interval"]
    )


def policy_failures(rows: Sequence[Row], runs: Group) -> str:
    """Return the sentence on answers that were no actions; nothing if there were none."""
    counts = [(row.name, run.policy_failures) for row in rows if isinstance(run := runs[row.key], Episodes)]
    listed = ", ".join(f"{name}: {count}" for name, count in counts if count)
    return f"Episodes that ended because the answer was no chunk of actions: {listed}." if listed else ""


def pairs(
    params: ReportParams, rows: Sequence[Row], comparisons: Sequence[Comparison], group: str, runs: Group
) -> list[str]:
    """Return heading, explanation and table of the comparisons whose rows both have data; nothing if none has."""
    header = ["Rows", "Paper", "n", "Both", "Only first", "Only second", "Neither", "Difference", "95 % interval"]
    header += ["p", "Reads"]
    by_key, lines = {row.key: row for row in rows}, []
    for comparison in comparisons:
        first, second = runs[comparison.first], runs[comparison.second]
        if isinstance(first, Absent) or isinstance(second, Absent):
            continue
        line = [
            f"{comparison.first} against {comparison.second}",
            paper_difference(params, by_key[comparison.first], by_key[comparison.second], group) or comparison.paper,
        ]
        result = compare(first, second)
        if result is None:
            lines.append([*line, "0", *[""] * 7, NOTHING_SHARED])
            continue
        counts = [result.both, result.only_first, result.only_second, result.neither]
        line += [*map(str, (sum(counts), *counts)), *difference(result)]
        way, name = direction(result), by_key[comparison.first].name
        lines.append([*line, way if way == "inconclusive" else f"{name} is {way}"])
    title = "Average" if group == AVERAGE else group.capitalize()
    return [f"### {title}: row against row", TEST, table(header, lines, right=header[1:-1])] if lines else []


def compare(first: Episodes, second: Episodes) -> Paired | None:
    """Compare two rows on the initial states that both have seen; None if there is none."""
    outcomes = shared_outcomes(first, second)
    return paired(*outcomes) if outcomes[0].size else None


def difference(result: Paired) -> list[str]:
    """Return the cells of a comparison: difference, its interval, and p."""
    p_value = f"{result.p_value:.3f}" if result.p_value >= 0.001 else "< 0.001"
    return [points(100 * result.difference), f"{100 * result.low:+.1f} to {100 * result.high:+.1f}", p_value]


def direction(result: Paired) -> str:
    """Return what a comparison says about its first row: higher, lower or inconclusive."""
    if result.p_value >= SIGNIFICANCE:
        return "inconclusive"
    return "higher" if result.difference > 0 else "lower"


def points(difference: float) -> str:
    """Return a difference of percentages."""
    return f"{difference:+.1f} points"


def paper_difference(params: ReportParams, first: Row, second: Row, group: str) -> str:
    """Return the paper's difference of two rows; nothing if it has no numbers."""
    values = paper_rate(params, first, group), paper_rate(params, second, group)
    return "" if values[0] is None or values[1] is None else points(values[0] - values[1])


def headline(params: ReportParams, rows: Sequence[Row], runs: Runs) -> str:
    """Return the table of the first page: rows by suites."""
    header, lines = ["Row", "Model"], []
    right = ["Row"] * all(row.key.isdigit() for row in rows)
    with_paper = any(row.paper for row in rows)
    by_group = groups(runs)
    for group in by_group:
        header += [f"{group}: ours", *[f"{group}: paper"] * with_paper]
        right.append(f"{group}: paper")
    for row in rows:
        line = [row.key, row.label]
        for group, members in by_group.items():
            line += [brief(members[row.key]), *[_percent(paper_rate(params, row, group))] * with_paper]
        lines.append(line)
    return table(header, lines, right)


def brief(run: Episodes | Absent) -> str:
    """Return a success rate, its interval, and each training's own rate in one cell."""
    if isinstance(run, Absent):
        return str(run)
    low, high = run.rate.interval
    trainings = f"; trainings: {run.spread}" if run.spread else ""
    return f"{run.rate} = {run.rate.percent:.1f} % ({low:.1f} to {high:.1f}){trainings}"


def paper_rate(params: ReportParams, row: Row, group: str) -> float | None:
    """Return the paper's rate in percent, if it has one; its average is over the suites that we have."""
    if group == AVERAGE and set(params.suites) != set(SUITES):
        values = [row.paper[suite] for suite in params.suites if suite in row.paper]
        return sum(values) / len(values) if len(values) == len(params.suites) else None
    return row.paper.get(group)


def _has_paper(params: ReportParams, rows: Sequence[Row], group: str) -> bool:
    return any(paper_rate(params, row, group) is not None for row in rows)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"
