"""What a replay reads of raw demonstrations: their actions and states, and which of them cannot be replayed."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from worldvla.data.hdf5 import dataset, member, open_hdf5, subgroup

REMEDY = "replace the file, or run: dvc repro -f download"

ACTION_WIDTH = 7


class UnusableDemonstrationError(ValueError):
    """One demonstration cannot be replayed, in whatever simulator; the others of its file can. The message says why."""


@dataclass(frozen=True)
class Trajectory:
    """What a replay needs of a raw demonstration."""

    demo: str  # "demo_7"
    actions: np.ndarray  # float64 [T, 7]
    states: np.ndarray  # float64 [T, n] before each action


def read_trajectory(path: Path, demo: str) -> Trajectory:
    """Return one demonstration of a raw file by its name, without its images; raises like ``trajectory``."""
    with open_hdf5(path, REMEDY) as file:
        return trajectory(path, subgroup(file, "data"), demo)


def num_steps(path: Path, demos: Iterable[str]) -> list[int]:
    """Return how many actions demonstrations have, without reading any; 0 for unusable ones."""
    with open_hdf5(path, REMEDY) as file:
        return [_num_steps(file, demo) for demo in demos]


def _num_steps(file: h5py.File, demo: str) -> int:
    try:
        shape = dataset(file, f"data/{demo}/actions").shape
    except (KeyError, RuntimeError):
        return 0
    return shape[0] if shape else 0


def trajectory(path: Path, data: h5py.Group, demo: str) -> Trajectory:
    """Return one demonstration of an open file's group ``data``; ``path`` is for messages.

    Raises:
        UnusableDemonstrationError: it has no steps, values that are missing, damaged or not finite, or not as many
            states as actions.
        ValueError: the file cannot be read, keeps its data in another one, or was recorded with other actions.
    """
    try:
        group = member(data, demo)
        if not isinstance(group, h5py.Group):
            raise UnusableDemonstrationError("no group")
        actions = _steps(path, group, "actions")
        states = _steps(path, group, "states", len(actions))
    except RuntimeError:  # HDF5's, of a group that is damaged; those of other demonstrations need not be
        raise UnusableDemonstrationError("its group is damaged") from None
    if actions.shape[1] != ACTION_WIDTH:
        got = f"{demo} has actions of {actions.shape[1]} numbers, of another robot or controller"
        raise ValueError(f"{path}: {got}; expected {ACTION_WIDTH}; {REMEDY}")
    return Trajectory(demo, actions, states)


def _steps(path: Path, group: h5py.Group, name: str, num_actions: int | None = None) -> np.ndarray:
    """Return a dataset of a demonstration as float64 ``[T, n]``, all of it finite; T is ``num_actions`` if that is given."""
    try:
        stored = dataset(group, name)
    except KeyError:
        raise UnusableDemonstrationError(f"no dataset '{name}'") from None
    # Before it is read: a shape that is wrong may be larger than the memory.
    if num_actions is not None and len(stored.shape or ()) == 2 and stored.shape[0] != num_actions:
        raise UnusableDemonstrationError(f"{num_actions} actions and {stored.shape[0]} {name}")
    if stored.dtype.kind == "c":
        raise UnusableDemonstrationError(f"'{name}' are not real numbers")
    try:
        array = np.asarray(stored[()]).astype(np.float64)
    except (TypeError, ValueError):
        raise UnusableDemonstrationError(f"'{name}' are not numbers") from None
    except MemoryError:
        raise UnusableDemonstrationError(f"'{name}' of shape {stored.shape} are more than the memory holds") from None
    except OSError as error:
        if error.errno is not None:
            raise ValueError(f"{path}: cannot be read ({os.strerror(error.errno)}); check its disk") from None
        raise UnusableDemonstrationError(f"'{name}' is damaged, or compressed in a way unknown here") from None
    if array.size == 0:
        raise UnusableDemonstrationError("no step")
    if array.ndim != 2:
        raise UnusableDemonstrationError(f"'{name}' of shape {array.shape}")
    if not np.isfinite(array).all():
        step, column = np.argwhere(~np.isfinite(array))[0]
        raise UnusableDemonstrationError(f"step {step}: {name}[{column}] is {array[step, column]}")
    return array
