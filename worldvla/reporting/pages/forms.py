"""Parts of the pages about success rates that are no table of rates: by the names that ``rates.yaml`` calls them."""

from collections.abc import Callable, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, Protocol

from worldvla.metrics.outliers import lower_than_others
from worldvla.metrics.rounds import Estimate
from worldvla.metrics.success import wilson
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.inputs.speed import Speeds, not_timed, read_speeds
from worldvla.reporting.markdown import table
from worldvla.reporting.pages import planning
from worldvla.reporting.pages.template import render
from worldvla.reporting.pictures.strips import Block, draw, strip_of

TIMED = (
    "The paper's FPS are on a GPU that it does not name; by all signs it decodes one token after the other "
    "([forensics](forensics.md)). Ours are actions per second: those of a chunk over the median query, which encodes the frames "
    "that are new and decodes the chunk, all actions at once under the action mask; on one thread of the processor, or on the "
    "GPU where one is named. The two are not comparable. What either says is what a further frame costs: how many times as fast "
    "a row is as the one of two frames. Rows with the same chunks are asked in turns, one query each in a round, in an order "
    "that rotates, so that whatever slows the machine slows all of them. In brackets the 95 % bootstrap interval: rounds are "
    "drawn in blocks of neighbours, the same ones for both rows of a ratio. It is for this machine and the first training."
)


class Row(Protocol):
    """A row of a page."""

    key: str
    label: str
    variant: str
    paper: Sequence[str | int]
    beside: str


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
    """Return how fast the rows answer, suite by suite, and how many times as fast as the rows beside which they are put."""
    header = ["Row", "Paper: FPS", "Actions per second", "Query, ms", "As fast as", "Paper: times", "Ours: times"]
    blocks, by_key = ["## Speed", TIMED], {row.key: row for row in rows}
    for suite in in_order(inputs.params.suites):
        found, lines = read_speeds(inputs.speed, inputs.params, suite), []
        for row in rows:
            other = by_key.get(row.beside, row)
            fps = [_fps(one, suite) for one in (row, other)]
            line = [row.key, "" if fps[0] is None else f"{fps[0]:.2f}"]
            if found is None or row.variant not in found.policies:
                line += [str(not_timed(inputs.params, row.variant, suite)), ""]
            else:
                line += [_digits(found.actions_per_s(row.variant)), _round(found.policies[row.variant].median_ms)]
            if other is not row:
                papers = f"{fps[0] / fps[1]:.2f}" if fps[0] is not None and fps[1] is not None else ""
                ratio = found.ratio(row.variant, other.variant) if found else None
                line += [other.key, papers, _digits(ratio) if ratio else ""]
            lines.append(line + [""] * (len(header) - len(line)))
        blocks += [f"### {suite.capitalize()}: speed", table(header, lines, right=[*header[1:4], *header[5:]])]
        if found is not None:
            blocks.append(_timed_by(found))
    return blocks


def _fps(row: Row, suite: str) -> float | None:
    """Return the paper's frames per second, which it has of the goal suite alone."""
    return published(str(row.paper[0]), *row.paper[1:])["fps"] if row.paper and suite == "goal" else None


def _digits(found: Estimate) -> str:
    """Return a value and its interval to two digits."""
    return f"{_round(found.value)} ({_round(found.low)} to {_round(found.high)})"


def _round(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def _timed_by(found: Speeds) -> str:
    num = len(next(iter(found.policies.values())).query_ms)
    return f"{num} rounds on {found.hardware}, commit {found.commit}, {found.date}."


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
    "planning": planning.paired,
}
