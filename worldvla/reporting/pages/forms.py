"""Parts of the pages about success rates that are no table of rates: by the names that ``rates.yaml`` calls them."""

from collections.abc import Callable, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, Protocol

from worldvla.metrics.outliers import lower_than_others
from worldvla.metrics.success import wilson
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.inputs.speed import Speed, read_speed
from worldvla.reporting.markdown import table
from worldvla.reporting.pages.template import render
from worldvla.reporting.pictures.strips import Block, draw, strip_of

TIMED = (
    "The paper's FPS are on a GPU that it does not name; by all signs it decodes one token after the other "
    "([forensics](forensics.md)). Ours are actions per second, to two digits: those of a chunk over the median time of a query, in "
    "brackets those between which the middle half of the queries lies, "
    "one at a time, which encodes the frames that are new and decodes the chunk, all actions at once under the action mask; on "
    "one thread of the processor, or on the GPU where one is named. The two are not comparable; what either says is what a "
    "further frame costs."
)


class Row(Protocol):
    """A row of a page."""

    key: str
    label: str
    variant: str
    paper: Sequence[str | int]


def tasks(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return the rates task by task, and draw a success and a failure of the last row that is filmed, suite by suite."""
    suites = []
    for suite in in_order(inputs.params.suites):
        found = {row.key: run for row in rows if isinstance(run := inputs.rollouts.run(row.variant, suite), Run)}
        if not found:
            continue
        filmed, films = next(((key, one) for key in reversed(found) if (one := _one_of_each(found[key]))), ("", []))
        if films:
            draw(folder / f"table3-{suite}.png", films)
        suites.append((suite, {key: run.counts_by_task() for key, run in found.items()}, filmed, films))
    return [render("tasks", suites=suites, tasks=lambda counts: dict.fromkeys(chain(*counts.values())))]


def _one_of_each(run: Run) -> list[Block]:
    """Return the first filmed success and the first filmed failure, as far as there are such."""
    films = list(run.films().values())
    firsts = [next((film for film in films if film[0]["success"] == success), None) for success in (True, False)]
    return [Block.of_episode(film[0], [strip_of("", *film)]) for film in firsts if film]


def speeds(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return how fast the rows answer, suite by suite."""
    header = ["Row", "Paper: FPS", "Actions per second", "Query, ms", "Queries", "Hardware", "Commit"]
    blocks = ["## Speed", TIMED]
    for suite in in_order(inputs.params.suites):
        lines = []
        for row in rows:
            speed = read_speed(inputs.speed, inputs.params, row.variant, suite)
            fps = published(str(row.paper[0]), *row.paper[1:])["fps"] if row.paper and suite == "goal" else None
            line = [row.key, "" if fps is None else f"{fps:.2f}", str(speed)]
            if isinstance(speed, Speed):
                line += [f"{float(f'{speed.query_ms:.2g}'):g}", str(speed.num_queries), speed.hardware, speed.commit]
            lines.append(line + [""] * (len(header) - len(line)))
        blocks += [f"### {suite.capitalize()}: speed", table(header, lines, right=header[1:5])]
    return blocks


def others(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return the rows of the paper's table 2 that are not of its own model."""
    return [render("others", rows=published("table2").values())]


def released(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return what the paper's own weights are, and every task of theirs by itself; nothing without any run."""
    suites: dict[str, list[Run]] = {}
    for suite, name in product(in_order(inputs.params.suites), inputs.params.released):
        if isinstance(run := inputs.rollouts.run(name, suite), Run):
            suites.setdefault(suite, []).append(run)
    made_of = [part.made_of for runs in suites.values() for run in runs for part in run.parts.values()]
    about = {
        "suites": suites,
        "significance": SIGNIFICANCE,
        "lower_than_others": lower_than_others,
        "interval": lambda *counts: [100 * end for end in wilson(*counts)],
        "simulators": sorted({one["simulator"] for one in made_of}),
        "origins": sorted({one["released"] for one in made_of}),
    }
    return [render("released", **about)] if suites else []


FORMS: dict[str, Callable[[Path, Inputs, Sequence[Any]], list[str]]] = {
    "tasks": tasks,
    "speeds": speeds,
    "others": others,
    "released": released,
}
