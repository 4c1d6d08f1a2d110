"""The page of figure 4: the same episodes by the action model and by the action world model."""

from collections.abc import Sequence
from pathlib import Path

from worldvla.reporting.contents import RATES
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, Run, Start, in_order
from worldvla.reporting.markdown import page
from worldvla.reporting.pages.rates import tasks
from worldvla.reporting.pictures import animation
from worldvla.reporting.pictures.strips import Block, Strip, draw, filmed
from worldvla.reporting.provenance import link
from worldvla.simulation.videos import read_video

ROWS = RATES["table3"]["rows"][3:5]

Kind = tuple[bool, bool]  # whether the action model, and whether the action world model, solved an episode
KINDS: dict[Kind, str] = {
    (False, True): "only the action world model",
    (True, False): "only the action model",
    (True, True): "both",
    (False, False): "neither",
}


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``figure4.md``, and a picture and an animation per suite."""
    text = page(
        f"# Figure 4 at scale `{inputs.params.scale}`: the same episodes by the action model and by the action world model",
        f"{inputs.about} Rows 4 and 5 of [table 3](table3.md), from the same initial state of the same task. Frames are evenly "
        "spaced over each episode, which ends with success or when its steps are used up. Rendered again for people: the "
        "policy sees fewer pixels.",
        "The rule: every run is filmed from the first initial states of every task, whatever comes of it. Of the pairs of "
        "films, in the order of trainings, tasks and initial states, we show the first that only the action world model solved "
        "and the first that only the action model solved; if there is neither, the first pair. The paper shows two pairs, "
        "both of the former kind, and does not say how they were chosen.",
        *[block for suite in in_order(inputs.params.suites) for block in _suite(folder, inputs, suite)],
    )
    (folder / "figure4.md").write_text(text, encoding="utf-8")


def pick(films: dict[Start, Kind]) -> list[Start]:
    """Return the filmed pairs to show, by the rule that the page states.

    Args:
        films: which of the two models solved each filmed pair, in the order of trainings, tasks and initial states.
    """
    firsts = [next((start for start, kind in films.items() if kind == wanted), None) for wanted in list(KINDS)[:2]]
    return [start for start in firsts if start is not None] or list(films)[:1]


def _suite(folder: Path, inputs: Inputs, suite: str) -> list[str]:
    """Return the blocks of a suite, and draw its pairs."""
    title = f"## {suite.capitalize()} suite"
    runs: list[Run] = []
    for row in ROWS:
        run = inputs.rollouts.run(row["variant"], suite)
        if isinstance(run, Absent):
            return [title, f"No pairs: {run}."]
        runs.append(run)
    outcomes = [
        {(row["training"], row["task_index"], row["init_state"]): row["success"] for row in run.rows} for run in runs
    ]
    kinds = [(outcomes[0][start], outcomes[1][start]) for start in outcomes[0] if start in outcomes[1]]
    counts = ", ".join(f"{name} {kinds.count(kind)}" for kind, name in KINDS.items())
    blocks = [
        title,
        f"{tasks(inputs.params, [runs])} Solved, of all {len(kinds)} pairs of episodes, each training with that of the same "
        f"number: {counts}.",
    ]
    films = [run.films() for run in runs]
    both = {start: (outcomes[0][start], outcomes[1][start]) for start in films[0] if start in films[1]}
    if not both:
        return [*blocks, "No pair is filmed."]
    chosen = pick(both)
    shown = [f"{KINDS[both[start]]} ({_runs(runs, start)})" for start in chosen]
    sentences = [f"Filmed: {len(both)} {'pair' if len(both) == 1 else 'pairs'}."]
    sentences += [f"None that {KINDS[kind]} solved." for kind in list(KINDS)[:2] if kind not in both.values()]
    sentences.append(f"Shown, in this order: solved by {', then by '.join(shown)}.")
    labels = ("action model", "action world model")
    pictures, moving = [], []
    for start in chosen:
        pair = [(label, *film[start]) for label, film in zip(labels, films, strict=True)]
        pictures.append(Block.of_episode(pair[0][1], [filmed(label, row, path) for label, row, path in pair]))
        moving.append([Strip(label, list(read_video(path))) for label, _, path in pair])
    draw(folder / f"figure4-{suite}.png", pictures)
    animation.write_gif(folder / f"figure4-{suite}.gif", moving)
    return [
        *blocks,
        " ".join(sentences),
        f"![frames of the same episodes by both models](figure4-{suite}.png)",
        f"![the same episodes by both models in motion](figure4-{suite}.gif)",
    ]


def _runs(runs: Sequence[Run], start: Start) -> str:
    return " and ".join(link(run.parts[start[0]].name, run.parts[start[0]].name) for run in runs)
