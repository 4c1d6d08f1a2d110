"""Filtered episodes: replayed demonstrations without no-ops, one HDF5 file per task and one table for all.

``<task>_demo.hdf5`` is LIBERO's layout (``worldvla.data.raw``) with other attributes, without the wrist camera, and:
frames are upright, observations are taken before their actions, and a demonstration keeps the name of its raw one.

    data                attrs task, language, pixels
    data/demo_<i>       actions (T, 7), states (T, n), robot_states (T, 9), rewards (T,), dones (T,)
    data/demo_<i>/obs   agentview_rgb (T, px, px, 3), ee_pos, ee_ori, ee_states, gripper_states, joint_states

``episodes.parquet`` has one row per raw demonstration, kept or not (``EPISODES``).
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.data.file_names import task_file
from worldvla.data.frames import write_frames
from worldvla.data.hdf5 import dataset, last_step, open_hdf5, read_array, subgroup, write_arrays
from worldvla.data.raw import demo_number
from worldvla.files import atomic_file

REMEDY = "run: dvc repro -f filter"
FRAMES = "obs/agentview_rgb"

EPISODES = pa.schema(
    [
        ("suite", pa.string()),
        ("task", pa.string()),
        ("task_index", pa.int32()),  # LIBERO's order
        ("language", pa.string()),
        ("demo", pa.string()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("num_raw_steps", pa.int32()),
        ("num_noops", pa.int32()),
        ("num_steps", pa.int32()),
    ]
)


@dataclass(frozen=True)
class FilteredEpisode:
    """One replayed demonstration of T steps; observations precede their actions."""

    demo: str  # "demo_7", the name in the raw file
    actions: np.ndarray  # float64 [T, 7]
    states: np.ndarray  # float64 [T, n]
    robot_states: np.ndarray  # float64 [T, 9]
    ee_states: np.ndarray  # float64 [T, 6] position (m), axis-angle (rad)
    gripper_states: np.ndarray  # float64 [T, 2] (m)
    joint_states: np.ndarray  # float64 [T, 7] (rad)
    frames: np.ndarray  # uint8 [T, px, px, 3] upright RGB


@dataclass(frozen=True)
class Episode:
    """What a policy learns from: the instruction, the frames before each action, the actions."""

    task: str
    demo: str
    language: str
    actions: np.ndarray  # float64 [T, 7]
    frames: np.ndarray  # uint8 [T, px, px, 3] upright RGB


def write_episode(data: h5py.Group, episode: FilteredEpisode) -> None:
    """Write one episode into a task's ``data`` group."""
    group = data.create_group(episode.demo)
    arrays = {
        "actions": episode.actions,
        "states": episode.states,
        "robot_states": episode.robot_states,
        "rewards": last_step(len(episode.actions)),
        "dones": last_step(len(episode.actions)),
        "obs/ee_pos": episode.ee_states[:, :3],
        "obs/ee_ori": episode.ee_states[:, 3:],
        "obs/ee_states": episode.ee_states,
        "obs/gripper_states": episode.gripper_states,
        "obs/joint_states": episode.joint_states,
    }
    write_arrays(group, arrays)
    write_frames(group, FRAMES, episode.frames)


def write_table(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as a parquet table, atomically."""
    with atomic_file(path) as scratch:
        pq.write_table(pa.Table.from_pylist(rows, schema), scratch)


def read_table(path: Path, schema: pa.Schema, remedy: str) -> list[dict[str, Any]]:
    """Return a parquet table's rows in written order.

    Raises:
        ValueError: the file is missing, damaged, or lacks a column of the schema.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        raise ValueError(f"{path}: missing or no parquet file; {remedy}") from None
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"{path}: column '{missing[0]}' is missing; {remedy}")
    return table.select(schema.names).to_pylist()


def read_episodes_table(folder: Path) -> list[dict[str, Any]]:
    """Return a filtered folder's rows, one per raw demonstration: task order, then demonstration number."""
    return read_table(folder / "episodes.parquet", EPISODES, REMEDY)


def read_filtered(folder: Path) -> Iterator[Episode]:
    """Yield the kept episodes of a folder in task order, then by demonstration number.

    Raises:
        ValueError: the folder is not a whole filtered folder.
    """
    rows = [row for row in read_episodes_table(folder) if row["kept"]]
    for row in sorted(rows, key=lambda row: (row["task_index"], demo_number(row["demo"]))):
        yield read_episode(folder, row["task"], row["demo"])


def read_episode(folder: Path, task: str, demo: str) -> Episode:
    """Return one kept episode.

    Raises:
        ValueError: the file is missing or damaged, or the episode is not in it.
    """
    with _episode(folder, task, demo) as group:
        actions, frames = read_array(group, "actions"), read_array(group, FRAMES)
        return Episode(task, demo, str(group.parent.attrs["language"]), actions, frames)


def read_frames(folder: Path, task: str, demo: str, numbers: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield some frames of a kept episode, uint8 ``[px, px, 3]`` each; raises like ``read_episode``."""
    with _episode(folder, task, demo) as group:
        stored = dataset(group, FRAMES)
        for number in numbers:
            yield stored[number]


def read_actions(folder: Path, task: str, demo: str) -> np.ndarray:
    """Return the actions of a kept episode, float64 ``[T, 7]``; raises like ``read_episode``."""
    with _episode(folder, task, demo) as group:
        return read_array(group, "actions")


@contextlib.contextmanager
def _episode(folder: Path, task: str, demo: str) -> Iterator[h5py.Group]:
    """Yield the group of one kept episode, and say which it is if it is not whole."""
    path = task_file(folder, task)
    with open_hdf5(path, REMEDY) as file:
        try:
            yield subgroup(file, f"data/{demo}")
        except (KeyError, IndexError):
            raise ValueError(f"{path}: no whole episode '{demo}'; {REMEDY}") from None
        except OSError:
            raise ValueError(f"{path}: the episode '{demo}' is damaged; {REMEDY}") from None
