"""Replay raw demonstrations without their no-ops and keep those that still succeed.

Reads ``data/raw/<suite>/``; writes ``data/filtered/<suite>/`` (``worldvla/data/episodes.py`` says how it looks). Costs
one simulation and one rendering per kept step, on all cores; an interrupted run continues from ``work/filter/``.
"""

import functools
import shutil
from dataclasses import asdict
from pathlib import Path

from worldvla import files
from worldvla.data.filter_units import (
    FilterTask,
    Unit,
    cut_units,
    expectation,
    join_units,
    run_unit,
    run_units,
    summary,
)
from worldvla.data.kept.overlap import compare
from worldvla.data.raw import task_files
from worldvla.params import strict
from worldvla.params.filter import FilterParams
from worldvla.running import console
from worldvla.running.unfinished import work_folder
from worldvla.simulation import engine, libero, rendering
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.tasks import chosen_tasks


def main(*, params: Path, raw: Path, out: Path) -> None:
    """Filter the demonstrations of one suite."""
    settings = strict.read(FilterParams, params)
    tasks = chosen_tasks(settings.benchmark, settings.suite, settings.tasks)
    filter_tasks = [FilterTask(settings.suite, t.name, t.index, t.language, settings.pixels) for t in tasks]
    sources = [files.file_digest(path) for path in task_files(raw, [task.name for task in tasks])]
    rendering.choose_backend()  # what cannot render is said before workers start
    ensure_assets(settings.benchmark)
    work = work_folder("filter", [asdict(settings), sources, engine.describe(settings.benchmark)])
    units = cut_units(filter_tasks, raw, work)
    print(expectation(units), flush=True)
    run_units(units, functools.partial(replay_unit, settings))
    with files.atomic_folder(out) as folder:
        rows = join_units(units, folder)
    shutil.rmtree(work)
    for task in tasks:
        reasons = summary(row["reason"] for row in rows if row["task"] == task.name)
        print(f"  {task.name}: {reasons}")
    for line in compare(rows, sources):
        print(f"  {line}")
    steps = sum(row["num_steps"] for row in rows if row["kept"])
    noops = sum(row["num_noops"] for row in rows)
    print(f"{out}: {summary(row['reason'] for row in rows)}; {steps} steps kept, {noops} no-ops dropped. Next: split")


def replay_unit(settings: FilterParams, unit: Unit) -> int:
    """Replay one unit in its own environment (runs in a worker)."""
    (task,) = chosen_tasks(settings.benchmark, settings.suite, (unit.task.index,))
    make = functools.partial(libero.Environment, task, pixels=settings.pixels, seed=settings.seed, looks=settings.looks)
    return run_unit(unit, make)


if __name__ == "__main__":
    console.run(main)
