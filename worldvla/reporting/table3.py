"""The page of table 3: what chunking, the action mask and the world model do to success rates."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import rate_pages, successes
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.runs import TWO_KINDS, Run
from worldvla.reporting.strips import Block, draw, filmed
from worldvla.reporting.successes import AVERAGE, Comparison, Group, Row, Runs, groups

MODELS = {
    1: ("action", "action model"),
    2: ("action_world", "action world model"),
    3: ("action_chunk", "action model, chunks"),
    4: ("action_chunk_mask", "action model, chunks, our mask"),
    5: ("action_world_chunk_mask", "action world model, chunks, our mask"),
}
ROWS = [
    Row(str(number), f"row {number}", label, variant, published("table3")[number])
    for number, (variant, label) in MODELS.items()
] + [
    Row("1, longer", "row 1 with twice the steps", "action model, as many steps as row 2", "action_longer"),
    Row("4, longer", "row 4 with twice the steps", "the same of row 4, as row 5", "action_chunk_mask_longer"),
]
COMPARISONS = [
    Comparison("2", "1", "the world model helps the action model"),
    Comparison("2", "1, longer", "the same with as many steps"),
    Comparison("5", "4", "the same with chunks and the mask"),
    Comparison("5", "4, longer", "the same with as many steps"),
    Comparison("4", "1", "chunks help, with the mask"),
    Comparison("4", "3", "the mask helps chunks"),
]


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``table3.md`` and its pictures.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `ROWS`.
        timing: folder of the wall-clock files.
    """
    rate_pages.write(
        folder,
        "table3",
        params,
        runs,
        timing,
        title="success rates with and without chunks, action mask and world model",
        about="The paper's numbers are for LIBERO and a model of 7 B; it does not state their n, which is 450 by all "
        "signs (9 tasks of 50 rollouts).",
        blocks=[
            f"{TWO_KINDS} Rows 1 and 4 stand there a second time, with as many steps as rows 2 and 5 take.",
            rate_pages.bars(folder, "table3", params, ROWS, runs),
            *[block for group, members in groups(runs).items() for block in _group(folder, params, group, members)],
        ],
    )


def _group(folder: Path, params: ReportParams, group: str, members: Group) -> list[str]:
    """Return the blocks of one suite, and write its picture of episodes; or those of the average."""
    blocks = successes.section(params, ROWS, COMPARISONS, group, members)
    present = {key: run for key, run in members.items() if isinstance(run, Run)}
    if group == AVERAGE or not present:
        return blocks
    blocks += [f"### {group.capitalize()}: task by task", _tasks(present)]
    key, episodes = next(((key, shown) for key in reversed(present) if (shown := _one_of_each(present[key]))), ("", []))
    if episodes:
        picture = f"table3-{group}.png"
        draw(folder / picture, episodes)
        blocks += [
            f"### {group.capitalize()}: a success and a failure",
            f"Row {key}; of each kind the first among the filmed episodes, in the order of tasks and initial states. "
            "Rendered again for people: the policy sees fewer pixels.",
            f"![frames of a success and of a failure]({picture})",
        ]
    return blocks


def _one_of_each(run: Run) -> list[Block]:
    """Return the first filmed success and the first filmed failure, as far as there are such."""
    episodes = run.by_start()
    blocks = []
    for success in (True, False):
        for start, path in run.films().items():
            if episodes[start]["success"] == success:
                blocks.append(Block.of_episode(episodes[start], [filmed("", episodes[start], path)]))
                break
    return blocks


def _tasks(present: dict[str, Run]) -> str:
    rates = {key: run.rates_by_task() for key, run in present.items()}
    tasks = list(dict.fromkeys(task for by_task in rates.values() for task in by_task))
    columns = [f"Row {key}" for key in rates]
    lines = [[task, *[str(by_task.get(task, "")) for by_task in rates.values()]] for task in tasks]
    return table(["Task", *columns], lines, right=columns)
