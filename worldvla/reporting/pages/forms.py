"""Parts of the pages about success rates that are no table of rates: by the names that ``rates.yaml`` calls them."""

from collections.abc import Callable, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

from worldvla.metrics.outliers import lower_than_others
from worldvla.metrics.success import wilson
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.inputs.speed import Speeds, not_timed, read_speeds
from worldvla.reporting.pages import planning
from worldvla.reporting.pages.row import Row
from worldvla.reporting.pages.template import render
from worldvla.reporting.pictures.strips import Block, draw, strip_of
from worldvla.simulation.milestones import Milestones


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


def milestones(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return how far the episodes of the rows came, suite by suite; nothing of a suite without things to carry."""
    suites: dict[str, dict[str, list[float]]] = {}
    for suite, row in product(in_order(inputs.params.suites), rows):
        run = inputs.rollouts.run(row.variant, suite)
        if isinstance(run, Run) and (things := sum(one["things"] for one in run.rows)):
            shares = [100 * sum(one[reached] for one in run.rows) / things for reached in Milestones._fields[1:]]
            suites.setdefault(suite, {})[row.key] = [*shares, 100 * run.counts[0] / run.counts[1]]
    return [render("milestones", suites=suites)] if suites else []


def _one_of_each(run: Run) -> list[Block]:
    """Return the first filmed success and the first filmed failure, as far as there are such."""
    films = list(run.films().values())
    firsts = [next((film for film in films if film[0]["success"] == success), None) for success in (True, False)]
    return [Block.of_episode(film[0], [strip_of("", *film)]) for film in firsts if film]


def speeds(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return how fast the rows answer, suite by suite, and how many times as fast as the rows beside which they are put."""
    by_key, suites = {row.key: row for row in rows}, {}
    for suite in in_order(inputs.params.suites):
        found = read_speeds(inputs.speed, inputs.params, suite)
        suites[suite] = found, [_speed(inputs, found, row, by_key.get(row.beside, row), suite) for row in rows]
    return [render("speeds", suites=suites)]


def _speed(inputs: Inputs, found: Speeds | None, row: Row, other: Row, suite: str) -> dict[str, Any]:
    """Return how fast a row is, and how many times as fast as another one, in the paper and here."""
    # The paper has frames per second of the goal suite alone.
    fps, fps_of_other = (
        published(str(one.paper[0]), *one.paper[1:])["fps"] if one.paper and suite == "goal" else None
        for one in (row, other)
    )
    timed = found is not None and row.variant in found.policies
    line = {"row": row.key, "fps": fps, "why": "" if timed else str(not_timed(inputs.params, row.variant, suite))}
    if found and timed:
        line |= {"ours": found.actions_per_s(row.variant), "median_ms": found.policies[row.variant].median_ms}
    if other is not row:
        papers = fps / fps_of_other if fps is not None and fps_of_other is not None else None
        ratio = found.ratio(row.variant, other.variant) if found else None
        line |= {"other": other.key, "papers_ratio": papers, "ratio": ratio}
    return line


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


FORMS: dict[str, Callable[[Path, Inputs, Sequence[Row]], list[str]]] = {
    "tasks": tasks,
    "milestones": milestones,
    "speeds": speeds,
    "others": others,
    "released": released,
    "planning": planning.paired,
}
