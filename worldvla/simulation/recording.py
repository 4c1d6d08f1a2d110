"""Demonstrations of the scripted expert in LIBERO's HDF5 layout, recorded on all cores.

A demonstration is a function of the seed, the task and its number alone, whatever else is recorded beside it.
``states[0]`` is what ``Environment.reset`` is given: the scene before the few steps in which it settles. Resetting to it
and running the recorded actions, as the filter does, gives the recorded states exactly. There are no pictures: they are most
of a simulator's time, and the filter renders what it keeps.
"""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from worldvla.data.raw import RawDemonstration, RawHeader, demo_names, task_file, write_raw
from worldvla.files import atomic_file
from worldvla.params.benchmarks import max_steps
from worldvla.running.console import Progress
from worldvla.running.cores import num_cores
from worldvla.simulation import experts
from worldvla.simulation.demonstrator import Demonstrator
from worldvla.simulation.libero import Environment
from worldvla.simulation.processes import begin_worker, spawn_context
from worldvla.simulation.tasks import Task, chosen_tasks

DEMOS_PER_UNIT = 10  # recorded by one worker in one go; an interruption loses no more

# Streams of random numbers; the fixed initial states have their own.
START_STREAM, BEHAVIOUR_STREAM = 1, 2

NUM_TAIL_STEPS = 2  # after success, so that it is the last step's in a replay that differs a little


@dataclass(frozen=True)
class Recording:
    """What a suite's demonstrations are a function of."""

    benchmark: str
    suite: str
    tasks: tuple[int, ...]  # indices in LIBERO's order
    seed: int
    demonstrations_per_task: int


@dataclass(frozen=True)
class Unit:
    """Some demonstrations of one task, and the file that they are recorded to."""

    recording: Recording
    task_index: int
    start: int
    stop: int
    result: Path


def record_demonstration(environment: Environment, seed: int, demo: int) -> RawDemonstration:
    """Record demonstration number ``demo`` of the environment's task.

    Raises:
        RuntimeError: the simulation became unstable, or LIBERO's samplers find no start at rest.
    """
    task = environment.task
    start = experts.draw_start(environment, [START_STREAM, seed, task.index, demo])
    environment.reset(start)
    generator = np.random.default_rng([BEHAVIOUR_STREAM, seed, task.index, demo])
    demonstrator = Demonstrator(environment, experts.expert(environment), generator)
    rows = defaultdict(list)
    solved = 0  # steps in a row
    for _ in range(max_steps(task.benchmark, task.suite)):
        rows["states"].append(environment.state() if rows["states"] else start)
        rows["actions"].append(demonstrator.act())
        success = environment.step(rows["actions"][-1])
        for name, values in environment.proprioception().items():
            rows[name].append(values)
        solved = solved + 1 if success else 0
        if solved > NUM_TAIL_STEPS or demonstrator.has_given_up:
            break
    arrays = {name: np.stack(values) for name, values in rows.items()}
    return RawDemonstration(
        actions=arrays["actions"],
        states=arrays["states"],
        robot_states=arrays["robot_states"],
        ee_states=arrays["ee_states"],
        gripper_states=arrays["gripper_states"],
        joint_states=arrays["joint_states"],
        model_file=environment.model_xml(),
    )


def record(recording: Recording, work: Path, out: Path) -> None:
    """Record the demonstrations of a suite to one HDF5 file per task.

    Args:
        recording: what to record.
        work: where finished units stay when the recording is interrupted; the next run goes on from them.
        out: folder of the HDF5 files.
    """
    suite = chosen_tasks(recording.benchmark, recording.suite, recording.tasks)
    units = [
        Unit(recording, task.index, start, min(start + DEMOS_PER_UNIT, recording.demonstrations_per_task), result)
        for task in suite
        for start in range(0, recording.demonstrations_per_task, DEMOS_PER_UNIT)
        for result in [work / task.name / f"{start:06d}.hdf5"]
    ]
    record_units(units)
    for task in suite:
        join(task_file(out, task.name), [unit.result for unit in units if unit.task_index == task.index])


def record_units(units: list[Unit]) -> None:
    """Record the units that are not there yet in one worker process per core.

    A demonstration that breaks the simulation, as its seed makes it do every time, is left out and named.
    """
    todo = [unit for unit in units if not unit.result.exists()]
    total, missing = (sum(unit.stop - unit.start for unit in some) for some in (units, todo))
    with (
        ProcessPoolExecutor(num_cores(), spawn_context(), begin_worker) as pool,
        Progress(desc="record", unit="demo", total=total, initial=total - missing) as bar,
    ):
        try:
            for future in as_completed([pool.submit(record_unit, unit) for unit in todo]):
                count, failures = future.result()
                bar.update(count)
                for failure in failures:
                    bar.write(f"not recorded: {failure}")
        except BrokenProcessPool:
            raise ValueError(
                "a recording process died, perhaps out of memory; run the same command to continue"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_kept: dict[tuple[Task, int], Environment] = {}


def _environment(task: Task, seed: int) -> Environment:
    """Return the task's environment, kept from unit to unit: building it takes longer than a demonstration."""
    if (task, seed) not in _kept:
        _forget()
        _kept[task, seed] = Environment(task, pixels=16, seed=seed, looks="simple")
    return _kept[task, seed]


def _forget() -> None:
    for environment in _kept.values():
        environment.close()
    _kept.clear()


def record_unit(unit: Unit) -> tuple[int, list[str]]:
    """Record a unit to its file (runs in a worker).

    Returns:
        The number of its demonstrations, and a sentence for each that could not be recorded.
    """
    recording = unit.recording
    (task,) = chosen_tasks(recording.benchmark, recording.suite, (unit.task_index,))
    environment = _environment(task, recording.seed)
    header = RawHeader(
        env_name=type(environment.robosuite).__name__,
        problem_name=type(environment.robosuite).__name__.lower(),
        language=task.language,
        bddl_file_name=f"{task.folder}/{task.bddl_file.name}",
        bddl_file_content=task.bddl_file.read_text(),
        env_kwargs={
            "robots": ["Panda"],
            "controller": "OSC_POSE",
            "control_freq": environment.robosuite.control_freq,
        },
    )
    failures = []

    def demonstrations() -> Iterator[RawDemonstration]:
        for demo in range(unit.start, unit.stop):
            try:
                yield record_demonstration(_environment(task, recording.seed), recording.seed, demo)
            except RuntimeError as error:
                failures.append(f"{task.name}, demonstration {demo}: {error}")
                _forget()  # a simulation that broke down is built anew

    write_raw(unit.result, header, demonstrations())
    return unit.stop - unit.start, failures


def join(path: Path, parts: list[Path]) -> None:
    """Write one HDF5 file with the demonstrations of all parts, numbered on."""
    num_demos = total = 0
    attributes: dict[str, object] = {}
    with atomic_file(path) as scratch, h5py.File(scratch, "w") as file:
        data = file.create_group("data")
        for part in parts:
            with h5py.File(part, "r") as source:
                for demo in demo_names(part):
                    source.copy(f"data/{demo}", data, f"demo_{num_demos}")
                    num_demos += 1
                total += int(source["data"].attrs["total"])
                attributes = dict(source["data"].attrs)
        data.attrs.update(attributes | {"num_demos": num_demos, "total": total})
