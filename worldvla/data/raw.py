"""Raw demonstrations: HDF5 files in the layout that LIBERO publishes, one file per task.

    data            attrs env_name, problem_info (json), macros_image_convention, bddl_file_name, bddl_file_content,
                          env_args (json), num_demos, total (steps)
    data/demo_<i>   attrs num_samples, model_file (MuJoCo XML), init_state
                    actions (T, 7), states (T, n), robot_states (T, 9), rewards (T,), dones (T,)
    data/demo_<i>/obs   ee_pos (T, 3), ee_ori (T, 3), ee_states (T, 6), gripper_states (T, 2), joint_states (T, 7);
                    published files also agentview_rgb, eye_in_hand_rgb (T, px, px, 3)

``states[t]`` is the simulator's state before ``actions[t]``; observations are taken after it. Rewards and dones are 0
with a final 1 whatever happened. Source: LIBERO ``scripts/create_dataset.py``, commit 1952000.

Ours are written without pictures, which the filter renders; of what is read only ``actions`` and ``states`` are needed.
So files that others have filtered or stripped will do.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import h5py
import numpy as np

from worldvla.data.file_names import task_file
from worldvla.data.hdf5 import (
    last_step,
    member,
    new_hdf5,
    open_hdf5,
    subgroup,
    text_attribute,
    write_arrays,
)
from worldvla.data.trajectories import REMEDY, UnusableDemonstrationError, trajectory


@dataclass(frozen=True)
class RawHeader:
    """What a file of demonstrations says about its task."""

    env_name: str  # LIBERO's problem class
    problem_name: str  # its key in LIBERO's TASK_MAPPING
    language: str  # the instruction
    bddl_file_name: str  # relative, its stem is the task's name: "libero_goal/turn_on_the_stove.bddl"
    bddl_file_content: str
    env_kwargs: dict[str, object]  # JSON-serialisable arguments that rebuild the environment


@dataclass(frozen=True)
class RawDemonstration:
    """One demonstration of T steps as recorded, no-ops included.

    Without pictures: the filter renders what it keeps.
    """

    actions: np.ndarray  # float64 [T, 7] controller commands
    states: np.ndarray  # float64 [T, n] flattened simulator state before each action
    robot_states: np.ndarray  # float64 [T, 9] gripper 2, position 3, quaternion 4
    ee_states: np.ndarray  # float64 [T, 6] position 3 (m), axis-angle 3 (rad)
    gripper_states: np.ndarray  # float64 [T, 2] finger positions (m)
    joint_states: np.ndarray  # float64 [T, 7] (rad)
    model_file: str  # MuJoCo XML of the scene


def write_raw(path: Path, header: RawHeader, demonstrations: Iterable[RawDemonstration]) -> int:
    """Write one task's demonstrations atomically, as ``demo_0``, ``demo_1``, ...; the same input gives the same bytes.

    Returns:
        The number of steps written.

    Raises:
        OSError: it cannot be written, e.g. to a full disk.
    """
    num_demos = total = 0
    with new_hdf5(path) as file:
        data = file.create_group("data")
        for demonstration in demonstrations:
            _write_demonstration(data.create_group(f"demo_{num_demos}"), demonstration)
            num_demos += 1
            total += len(demonstration.actions)
        problem = {
            "problem_name": header.problem_name,
            "domain_name": "robosuite",
            "language_instruction": header.language,
        }
        env_args = {
            "type": 1,
            "env_name": header.env_name,
            "problem_name": header.problem_name,
            "bddl_file": header.bddl_file_name,
            "env_kwargs": header.env_kwargs,
        }
        data.attrs["env_name"] = header.env_name
        data.attrs["problem_info"] = json.dumps(problem)
        data.attrs["macros_image_convention"] = "opengl"
        data.attrs["bddl_file_name"] = header.bddl_file_name
        data.attrs["bddl_file_content"] = header.bddl_file_content
        data.attrs["env_args"] = json.dumps(env_args, sort_keys=True)
        data.attrs["num_demos"] = num_demos
        data.attrs["total"] = total
    return total


def _write_demonstration(group: h5py.Group, demonstration: RawDemonstration) -> None:
    num_steps = len(demonstration.actions)
    arrays = {
        "actions": demonstration.actions,
        "states": demonstration.states,
        "robot_states": demonstration.robot_states,
        "rewards": last_step(num_steps),
        "dones": last_step(num_steps),
        "obs/ee_pos": demonstration.ee_states[:, :3],
        "obs/ee_ori": demonstration.ee_states[:, 3:],
        "obs/ee_states": demonstration.ee_states,
        "obs/gripper_states": demonstration.gripper_states,
        "obs/joint_states": demonstration.joint_states,
    }
    for name, array in arrays.items():
        assert len(array) == num_steps, f"{name} has {len(array)} steps, actions {num_steps}"
    write_arrays(group, arrays)
    group.attrs["num_samples"] = num_steps
    group.attrs["model_file"] = demonstration.model_file
    group.attrs["init_state"] = demonstration.states[0]


def task_files(folder: Path, tasks: Sequence[str]) -> list[Path]:
    """Return the files of all tasks in a raw folder.

    Raises:
        ValueError: one is missing.
    """
    missing = [task for task in tasks if not task_file(folder, task).is_file()]
    if missing:
        count = f"{len(tasks) - len(missing)} of {len(tasks)} task files"
        raise ValueError(
            f"{folder}: {count}; missing '{task_file(folder, missing[0]).name}'; run: dvc repro -f download"
        )
    return [task_file(folder, task) for task in tasks]


def demo_names(path: Path) -> list[str]:
    """Return the names of a file's demonstrations in numeric order: demo_2 before demo_10.

    Raises:
        ValueError: the file cannot be read.
    """
    with open_hdf5(path, REMEDY) as file:
        return sorted(subgroup(file, "data"), key=demo_number)


def demo_number(demo: str) -> int:
    """Return 7 for "demo_7"."""
    return int(demo.removeprefix("demo_"))


def validate_raw(path: Path, task_name: str, language: str, others: Collection[str] = ()) -> tuple[int, int]:
    """Check that a file holds demonstrations of one task that can be replayed.

    Args:
        path: the HDF5 file.
        task_name: with underscores, as in the file's own ``bddl_file_name``, or in the file's name if it has none.
        language: the task's instruction; a file that names it is accepted whatever its BDDL file is called.
        others: names of the suite's tasks; a file whose BDDL file is another task's is refused even so, as LIBERO-90
            gives the same instruction in several scenes.

    Returns:
        The number of demonstrations, and of steps in all that are usable.

    Raises:
        ValueError: one sentence with the file, the demonstration, what was found and what was expected.
    """
    with open_hdf5(path, REMEDY) as file:
        data = _data(path, file)
        _check_task(path, data, task_name, language, others)
        sound, unusable = _sort_demonstrations(path, data)
        if not sound:
            demo, reason = next(iter(unusable.items()))
            raise ValueError(
                f"{path}: none of {len(unusable)} demonstrations can be replayed ({demo}: {reason}); expected at least "
                f"one; {REMEDY}"
            )
        return len(sound) + len(unusable), sum(sound.values())


def unusable_demonstrations(path: Path) -> dict[str, str]:
    """Return the demonstrations of a valid file that the filter will drop unseen, and why."""
    with open_hdf5(path, REMEDY) as file:
        return _sort_demonstrations(path, _data(path, file))[1]


def _data(path: Path, file: h5py.File) -> h5py.Group:
    data = member(file, "data")
    if not isinstance(data, h5py.Group):
        keys = ", ".join(sorted(map(str, file))) or "nothing"
        raise ValueError(f"{path}: the HDF5 file holds {keys}; expected LIBERO's group 'data'; {REMEDY}")
    return data


def _check_task(path: Path, data: h5py.Group, task_name: str, language: str, others: Collection[str]) -> None:
    """Check that the file names the task: by its BDDL file, by its instruction, or, without either, by its own name."""
    bddl_file, problem = (text_attribute(data, name) for name in ("bddl_file_name", "problem_info"))
    stem = PureWindowsPath(bddl_file).stem if bddl_file else None  # which knows both kinds of slashes
    if stem == task_name:
        return
    if stem in others:
        named = stem
    elif problem:
        instruction = _instruction(path, problem)
        if instruction.lower() == language.lower():
            return
        named = stem or instruction
    elif stem:
        named = stem
    elif path.name == task_file(path.parent, task_name).name:
        return
    else:
        named = path.name
    raise ValueError(f"{path}: demonstrations of '{named}'; expected '{task_name}'; {REMEDY}")


def _instruction(path: Path, problem: str) -> str:
    try:
        # Published files spell the instruction as a string, with or without quotes, or as a list of strings.
        return "".join(json.loads(problem)["language_instruction"]).strip('"')
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: attribute 'problem_info' is no JSON with 'language_instruction'; {REMEDY}") from None


def _sort_demonstrations(path: Path, data: h5py.Group) -> tuple[dict[str, int], dict[str, str]]:
    """Return the usable demonstrations with their numbers of steps, and the others with their reasons."""
    strange = [demo for demo in map(str, data) if not re.fullmatch(r"demo_\d+", demo)]
    if strange:
        raise ValueError(f"{path}: group 'data' holds '{strange[0]}'; expected only demo_0, demo_1, ...; {REMEDY}")
    sound, unusable = {}, {}
    for demo in sorted(map(str, data), key=demo_number):
        try:
            sound[demo] = len(trajectory(path, data, demo).actions)
        except UnusableDemonstrationError as error:
            unusable[demo] = str(error)
    if not sound and not unusable:
        raise ValueError(f"{path}: no demonstration; expected at least one; {REMEDY}")
    return sound, unusable
