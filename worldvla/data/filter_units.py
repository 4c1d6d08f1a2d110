"""The filter's work in units: a few demonstrations of one task, replayed anywhere in any order, joined at the end.

A unit's result is one HDF5 file.
"""

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from worldvla.data.episodes import EPISODES, FilteredEpisode, write_episode, write_table
from worldvla.data.filtering import BREAKS, KEPT, UNUSABLE, Simulator, Verdict, replay
from worldvla.data.frames import SHARE, size_of
from worldvla.data.hdf5 import new_hdf5, subgroup
from worldvla.data.raw import demo_names, task_file
from worldvla.data.trajectories import ACTION_WIDTH, Trajectory, UnusableDemonstrationError, num_steps, read_trajectory
from worldvla.running.forecast import forecast
from worldvla.running.machine import read_machine

DEMOS_PER_UNIT = 10  # about ten seconds at mini, a few minutes on LIBERO: an interruption loses no more
BYTES_PER_STEP = 1500  # of states, actions and the rest but frames, and of HDF5's bookkeeping


@dataclass(frozen=True)
class FilterTask:
    """What the filter needs to know of a task."""

    suite: str
    name: str
    index: int  # LIBERO's order
    language: str
    pixels: int  # side of the frames


@dataclass(frozen=True)
class Demos:
    """Demonstrations of one task that one worker replays."""

    task: FilterTask
    raw: Path  # the task's raw file
    names: tuple[str, ...]


def cut(tasks: Iterable[FilterTask], raw: Path) -> list[Demos]:
    """Cut the raw files of a suite into units, in task order and by demonstration number."""
    units = []
    for task in tasks:
        path = task_file(raw, task.name)
        names = demo_names(path)
        units += [
            Demos(task, path, tuple(names[start : start + DEMOS_PER_UNIT]))
            for start in range(0, len(names), DEMOS_PER_UNIT)
        ]
    return units


def expectation(units: list[Demos]) -> str:
    """Return what the frames of all units will need, in words: each is stored twice, each worker holds an episode."""
    lengths = [length for unit in units for length in num_steps(unit.raw, unit.names)]
    pixels = units[0].task.pixels
    disk = 2 * (SHARE * size_of(sum(lengths), pixels) + BYTES_PER_STEP * sum(lengths))
    num_workers = read_machine().num_workers(asks_model=False, num_units=len(units))
    memory = max(1, num_workers) * size_of(max(lengths), pixels)
    return forecast(sum(lengths), pixels, disk, memory)


def replay_all(
    unit: Demos, path: Path, build: Callable[[], AbstractContextManager[Simulator]], advance: Callable[[int], object]
) -> None:
    """Replay a unit's demonstrations and write its result.

    A demonstration that cannot be replayed is dropped with its reason, once a new simulator has replayed its own scene:
    a broken simulator ends the filter.

    Args:
        unit: what to replay.
        path: of the file to write.
        build: makes a simulator of the unit's task.
        advance: told the number of demonstrations that are done, now and then.

    Raises:
        ValueError: the demonstrations are of another scene.
        Exception: what the simulator raises, if it does not run its own scene either.
    """
    verdicts = []
    remaining = deque(unit.names)
    proven = True  # a simulator that failed shows that it was the demonstration's fault
    with new_hdf5(path) as file:
        data = file.create_group("data")
        while remaining or not proven:
            with build() as simulator:
                start = simulator.state()
                if not proven:
                    replay(simulator, Trajectory("its own scene", np.full((1, ACTION_WIDTH), 0.01), start[None]))
                    proven = True
                while remaining and proven:
                    verdict, episode = _judge(simulator, len(start), unit.raw, remaining.popleft())
                    verdicts.append(asdict(verdict))
                    if episode:
                        write_episode(data, episode)
                    del episode  # or it would be held beside the next one's frames
                    proven = not verdict.reason.startswith(BREAKS)
                    advance(1)
        data.attrs["verdicts"] = json.dumps(verdicts)


def _judge(simulator: Simulator, width: int, raw: Path, demo: str) -> tuple[Verdict, FilteredEpisode | None]:
    """Replay one demonstration; ``width`` is the length of the simulator's states."""
    try:
        trajectory = read_trajectory(raw, demo)
    except UnusableDemonstrationError as error:
        return Verdict(demo, False, f"{UNUSABLE} ({error})", 0, 0, 0), None
    recorded = trajectory.states.shape[1]
    if recorded != width:
        raise ValueError(
            f"{raw}: {demo} has states of {recorded} numbers; the simulator's have {width}; it was recorded in another "
            "scene or version; replace the file, or run: dvc repro -f download"
        )
    try:
        return replay(simulator, trajectory)
    except (ArithmeticError, RuntimeError, ValueError) as error:  # what numbers out of all bounds lead to
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return Verdict(demo, False, f"{BREAKS} ({reason})", len(trajectory.actions), 0, 0), None


def join_units(units: Sequence[Demos], results: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Write the filtered files of all tasks and ``episodes.parquet`` from the units' results, and return its rows.

    Raises:
        ValueError: no demonstration of a task was kept.
    """
    units_by_task = defaultdict(list)
    for unit, result in zip(units, results, strict=True):
        units_by_task[unit.task].append((unit, result))
    rows = []
    for task, members in units_by_task.items():
        with h5py.File(task_file(out, task.name), "w") as file:
            data = file.create_group("data")
            data.attrs["task"] = task.name
            data.attrs["language"] = task.language
            data.attrs["pixels"] = task.pixels
            verdicts = [verdict for _, result in members for verdict in _copy(result, data)]
        if not any(verdict.kept for verdict in verdicts):
            reasons = summary(verdict.reason for verdict in verdicts)
            raise ValueError(
                f"{members[0][0].raw}: no demonstration of '{task.name}' succeeds when it is replayed ({reasons}); expected "
                "at least one; check that simulator and assets are those of the recording, or record again: "
                "dvc repro -f download"
            )
        names = {"suite": task.suite, "task": task.name, "task_index": task.index, "language": task.language}
        rows += [names | asdict(verdict) for verdict in verdicts]
    write_table(out / "episodes.parquet", rows, EPISODES)
    return rows


def _copy(result: Path, data: h5py.Group) -> Iterator[Verdict]:
    """Copy a unit's episodes as they are stored, and yield its verdicts."""
    with h5py.File(result, "r") as file:
        source = subgroup(file, "data")
        verdicts = [Verdict(**verdict) for verdict in json.loads(str(source.attrs["verdicts"]))]
        for verdict in verdicts:
            if verdict.kept:
                source.copy(verdict.demo, data)
            yield verdict


def summary(reasons: Iterable[str]) -> str:
    """Return counts by reason: "kept 48, no success at any step 2"."""
    counts = Counter(reasons)
    order = sorted(counts, key=lambda reason: (reason != KEPT, reason))
    return ", ".join(f"{reason} {counts[reason]}" for reason in order)
