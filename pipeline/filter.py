"""Replay raw demonstrations without their no-ops and keep those that still succeed.

A LeRobot dataset's are filtered already, and hold their frames: they are taken as they are, without a simulator.

Reads ``data/raw/<suite>/``; writes ``data/filtered/<suite>/`` (``worldvla/data/episodes.py`` says how it looks). Costs
one simulation and one rendering per kept step, on all cores; an interrupted run continues from ``work/filter/``.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from worldvla import files
from worldvla.arithmetic import ENVIRONMENT
from worldvla.data.filter_units import Demos, FilterTask, cut, expectation, join_units, replay_all, summary
from worldvla.data.kept.overlap import compare
from worldvla.data.lerobot import converting
from worldvla.data.lerobot.info import is_dataset
from worldvla.data.raw import task_files
from worldvla.params import strict
from worldvla.params.filter import FilterParams
from worldvla.running import console
from worldvla.running.job import Job, Unit, Work
from worldvla.running.unfinished import finish, work_folder
from worldvla.running.units import finished_units
from worldvla.simulation import engine, libero, rendering
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.tasks import chosen_tasks


def main(*, params: Path, raw: Path, out: Path) -> None:
    """Filter the demonstrations of one suite."""
    settings = strict.read(FilterParams, params)
    tasks = chosen_tasks(settings.benchmark, settings.suite, settings.tasks)
    filter_tasks = [FilterTask(settings.suite, t.name, t.index, t.language, settings.pixels) for t in tasks]
    imported = is_dataset(raw)
    if imported:
        sources, simulator = converting.sources_of(raw), ""
        parts: Sequence[Demos] = (episodes := converting.cut_dataset(filter_tasks, raw))
        told = f"{converting.expected_frames(episodes)}\n  {converting.noops(episodes)}"
    else:
        sources = [files.file_digest(path) for path in task_files(raw, [task.name for task in tasks])]
        rendering.choose_backend()  # what cannot render is said before workers start
        ensure_assets(settings.benchmark)
        simulator, parts = engine.describe(settings.benchmark), cut(filter_tasks, raw)
        told = expectation(parts)
    work = work_folder("filter", [asdict(settings), sources, simulator])
    print(told, flush=True)
    job = Job(
        work,
        begin=converters if imported else simulators,
        arguments=(settings,),
        units=tuple(Unit(f"{part.task.name}-{part.names[0]}", part, len(part.names)) for part in parts),
        noun="demo",
        suffix=".hdf5",
        environment=ENVIRONMENT,
    )
    with finished_units(job) as results, files.atomic_folder(out) as folder:
        rows = join_units(parts, results, folder)
    finish(work)
    for task in tasks:
        reasons = summary(row["reason"] for row in rows if row["task"] == task.name)
        print(f"  {task.name}: {reasons}")
    for line in compare(rows, sources):
        print(f"  {line}")
    steps = sum(row["num_steps"] for row in rows if row["kept"])
    noops = sum(row["num_noops"] for row in rows)
    print(f"{out}: {summary(row['reason'] for row in rows)}; {steps} steps kept, {noops} no-ops dropped. Next: split")


@contextlib.contextmanager
def converters(settings: FilterParams) -> Iterator[Work]:
    """Yield what converts episodes of a dataset; in a worker."""
    yield converting.convert


@contextlib.contextmanager
def simulators(settings: FilterParams) -> Iterator[Work]:
    """Yield what replays demonstrations, in an environment of their task; in a worker."""
    rendering.choose_backend()
    rendering.forget_hidden_gpus()

    def replay(part: Demos, path: Path, advance: Callable[[int], object]) -> None:
        (task,) = chosen_tasks(settings.benchmark, settings.suite, (part.task.index,))
        build = functools.partial(
            libero.Environment, task, pixels=settings.pixels, seed=settings.seed, looks=settings.looks
        )
        replay_all(part, path, build, advance)

    yield replay


if __name__ == "__main__":
    console.run(main)
