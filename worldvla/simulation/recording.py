"""Demonstrations of the scripted expert in LIBERO's HDF5 layout, some at a time.

A demonstration is a function of the seed, the task and its number alone, whatever else is recorded beside it.
``states[0]`` is what ``Environment.reset`` is given: the scene before the few steps in which it settles. Resetting to it
and running the recorded actions, as the filter does, gives the recorded states exactly. There are no pictures: they are most
of a simulator's time, and the filter renders what it keeps.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from worldvla.data.raw import RawDemonstration, RawHeader, demo_names, write_raw
from worldvla.files import atomic_file
from worldvla.params.benchmarks import max_steps
from worldvla.simulation import experts
from worldvla.simulation.demonstrator import Demonstrator
from worldvla.simulation.libero import Environment
from worldvla.simulation.tasks import Task, chosen_tasks

DEMOS_PER_UNIT = 10  # recorded by one worker in one go; an interruption loses no more
FAILURES = "not recorded"  # attribute of a unit's file

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
class Demos:
    """Some demonstrations of one task, by their numbers."""

    task_index: int
    start: int
    stop: int


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


def cut(recording: Recording) -> list[Demos]:
    """Cut a recording into units, in task order."""
    count = recording.demonstrations_per_task
    return [
        Demos(task.index, start, min(start + DEMOS_PER_UNIT, count))
        for task in chosen_tasks(recording.benchmark, recording.suite, recording.tasks)
        for start in range(0, count, DEMOS_PER_UNIT)
    ]


class Recorder:
    """Records units one after the other; keeps the environment, whose building takes longer than a demonstration."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._environment: Environment | None = None

    def record(self, unit: Demos, path: Path, advance: Callable[[int], object]) -> None:
        """Record a unit to a file.

        A demonstration that breaks the simulation, as its seed makes it do every time, is left out; the file says so.
        """
        recording = self._recording
        (task,) = chosen_tasks(recording.benchmark, recording.suite, (unit.task_index,))
        environment = self._of(task)
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
                    yield record_demonstration(self._of(task), recording.seed, demo)
                except RuntimeError as error:
                    failures.append(f"{task.name}, demonstration {demo}: {error}")
                    self.close()  # a simulation that broke down is built anew
                advance(1)

        write_raw(path, header, demonstrations())
        with h5py.File(path, "r+") as file:
            file.attrs[FAILURES] = failures

    def close(self) -> None:
        """Free the environment."""
        if self._environment is not None:
            self._environment.close()
        self._environment = None

    def _of(self, task: Task) -> Environment:
        if self._environment is None or self._environment.task != task:
            self.close()
            self._environment = Environment(task, pixels=16, seed=self._recording.seed, looks="simple")
        return self._environment


def join(path: Path, parts: Sequence[Path]) -> list[str]:
    """Write one HDF5 file with the demonstrations of all parts, numbered on.

    Returns:
        A sentence for each demonstration that could not be recorded.
    """
    num_demos = total = 0
    failures: list[str] = []
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
                failures += [str(failure) for failure in source.attrs[FAILURES]]
        data.attrs.update(attributes | {"num_demos": num_demos, "total": total})
    return failures
