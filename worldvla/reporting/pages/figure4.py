"""The page of figure 4: the same episodes by the action model and by the action world model."""

from pathlib import Path
from typing import Any

from worldvla.reporting.contents import RATES
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, Run, Start, in_order
from worldvla.reporting.pages.rates import tasks
from worldvla.reporting.pages.template import write
from worldvla.reporting.pictures import animation
from worldvla.reporting.pictures.strips import Block, Strip, draw, strip_of
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
    suites = {suite: _suite(folder, inputs, suite) for suite in in_order(inputs.params.suites)}
    write(folder / "figure4.md", inputs, kinds=KINDS, suites=suites)


def pick(films: dict[Start, Kind]) -> list[Start]:
    """Return the filmed pairs to show, by the rule that the page states.

    Args:
        films: which of the two models solved each filmed pair, in the order of trainings, tasks and initial states.
    """
    firsts = [next((start for start, kind in films.items() if kind == wanted), None) for wanted in list(KINDS)[:2]]
    return [start for start in firsts if start is not None] or list(films)[:1]


def _suite(folder: Path, inputs: Inputs, suite: str) -> dict[str, Any] | str:
    """Return what the page says of a suite, and draw its pairs; why there are none."""
    found = [inputs.rollouts.run(row["variant"], suite) for row in ROWS]
    runs = [run for run in found if isinstance(run, Run)]
    if len(runs) < len(found):
        return next(str(run) for run in found if isinstance(run, Absent))
    outcomes = [
        {(row["training"], row["task_index"], row["init_state"]): row["success"] for row in run.rows} for run in runs
    ]
    kinds = {start: (outcomes[0][start], outcomes[1][start]) for start in outcomes[0] if start in outcomes[1]}
    films = [run.films() for run in runs]
    filmed = {start: kinds[start] for start in films[0] if start in films[1]}
    labels = ("action model", "action world model")
    pictures, moving, shown = [], [], pick(filmed)
    for start in shown:
        pair = [(label, *film[start]) for label, film in zip(labels, films, strict=True)]
        pictures.append(Block.of_episode(pair[0][1], [strip_of(label, row, path) for label, row, path in pair]))
        moving.append([Strip(label, list(read_video(path))) for label, _, path in pair])
    if shown:
        draw(folder / f"figure4-{suite}.png", pictures)
        animation.write_gif(folder / f"figure4-{suite}.gif", moving)
    about = {"tasks": tasks(inputs.params, [runs]), "runs": runs, "pairs": [*kinds.values()]}
    return about | {"filmed": filmed, "shown": shown}
