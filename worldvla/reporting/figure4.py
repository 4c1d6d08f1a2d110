"""The page of figure 4: the same episodes by the action model and by the action world model."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import successes, table3
from worldvla.reporting.markdown import page
from worldvla.reporting.provenance import of_rollouts
from worldvla.reporting.runs import Absent, Run, Start, shared_outcomes
from worldvla.reporting.strips import Block, draw, filmed
from worldvla.reporting.successes import Group, Runs

ACTION, ACTION_WORLD = "4", "5"  # rows of table 3
ROWS = [row for row in table3.ROWS if row.key in (ACTION, ACTION_WORLD)]

Kind = tuple[bool, bool]  # whether the action model, and whether the action world model, solved an episode
KINDS: dict[Kind, str] = {
    (False, True): "only the action world model",
    (True, False): "only the action model",
    (True, True): "both",
    (False, False): "neither",
}


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``figure4.md`` and one picture per suite.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of table 3.
        timing: folder of the wall-clock files.
    """
    shown = {suite: {key: group[key] for key in (ACTION, ACTION_WORLD)} for suite, group in runs.items()}
    text = page(
        f"# Figure 4 at scale `{params.scale}`: the same episodes by the action model and by the action world model",
        f"Rollouts on the benchmark `{params.benchmark}`, seed {params.seed}: rows {ACTION} and {ACTION_WORLD} of "
        "[table 3](table3.md), from the same initial state of the same task. Frames are evenly spaced over each "
        "episode, which ends with success or when its steps are used up. Rendered again for people: the policy sees "
        "fewer pixels.",
        "The rule: every run is filmed from the first initial states of every task, whatever comes of it. Of the "
        "pairs of films, in the order of tasks and initial states, we show the first that only the action world "
        "model solved and the first that only the action model solved; if there is neither, the first pair. The "
        "paper shows two pairs, both of the former kind, and does not say how they were chosen.",
        *[block for suite, group in shown.items() for block in _suite(folder, params, suite, group)],
        "## Where the pictures come from",
        of_rollouts(successes.present(shown), timing),
    )
    (folder / "figure4.md").write_text(text, encoding="utf-8")


def pick(films: dict[Start, Kind]) -> list[Start]:
    """Return the filmed pairs to show, by the rule that the page states.

    Args:
        films: which of the two models solved each filmed pair, in the order of tasks and initial states.
    """
    firsts = [next((start for start, kind in films.items() if kind == wanted), None) for wanted in list(KINDS)[:2]]
    return [start for start in firsts if start is not None] or list(films)[:1]


def _suite(folder: Path, params: ReportParams, suite: str, group: Group) -> list[str]:
    """Return the blocks of a suite, and draw its pairs."""
    title = f"## {suite.capitalize()} suite"
    for run in group.values():
        if isinstance(run, Absent):
            return [title, f"No pairs: {run}."]
    first, second = group[ACTION], group[ACTION_WORLD]
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    outcomes = list(zip(*shared_outcomes(first, second), strict=True))
    counts = ", ".join(f"{name} {sum((a, b) == kind for a, b in outcomes)}" for kind, name in KINDS.items())
    tasks = successes.tasks(params, group.values())
    blocks = [title, f"{tasks} Solved, of all {len(outcomes)} pairs of episodes: {counts}."]
    films_1, films_2 = first.films(), second.films()
    rows_1, rows_2 = first.by_start(), second.by_start()
    films = {start: (rows_1[start]["success"], rows_2[start]["success"]) for start in films_1 if start in films_2}
    if not films:
        return [*blocks, "No pair is filmed."]
    chosen = pick(films)
    blocks.append(_chosen(films, chosen))
    pictures = [
        Block.of_episode(
            rows_1[start],
            [
                filmed("action model", rows_1[start], films_1[start]),
                filmed("action world model", rows_2[start], films_2[start]),
            ],
        )
        for start in chosen
    ]
    draw(folder / f"figure4-{suite}.png", pictures)
    alt = "frames of the same episodes by both models"
    return [*blocks, f"![{alt}](figure4-{suite}.png)"]


def _chosen(films: dict[Start, Kind], chosen: list[Start]) -> str:
    """Return the sentences on which of the filmed pairs are shown."""
    sentences = [f"Filmed: {len(films)} {'pair' if len(films) == 1 else 'pairs'}."]
    sentences += [f"None that {KINDS[kind]} solved." for kind in list(KINDS)[:2] if kind not in films.values()]
    sentences.append(f"Shown, in this order: solved by {', then by '.join(KINDS[films[start]] for start in chosen)}.")
    return " ".join(sentences)
