"""Episodes of a LeRobot dataset as the filter writes those that it has replayed: taken as they are, without a simulator.

Such sets are filtered already, and hold their frames. If there are no-ops in one, they stay.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from worldvla.data.episodes import FRAMES
from worldvla.data.filter_units import DEMOS_PER_UNIT, Demos, FilterTask
from worldvla.data.filtering import KEPT, Verdict, without_noops
from worldvla.data.frames import SHARE, size_of, write_frames
from worldvla.data.hdf5 import last_step, new_hdf5, write_arrays
from worldvla.data.lerobot.catalogue import Entry, choose, read_catalogue
from worldvla.data.lerobot.info import dataset_files, read_info
from worldvla.data.lerobot.reading import read_frames, read_steps
from worldvla.files import file_digest
from worldvla.running.forecast import forecast


@dataclass(frozen=True)
class Episodes(Demos):
    """Episodes of one task that one worker converts."""

    entries: tuple[Entry, ...] = ()


def cut_dataset(tasks: Iterable[FilterTask], raw: Path) -> list[Episodes]:
    """Cut the episodes of a suite into units, in task order and by number.

    Raises:
        ValueError: the dataset's frames are not of the size that is asked for, or it is not whole.
    """
    tasks, info = list(tasks), read_info(raw)
    if info.pixels != tasks[0].pixels:
        raise ValueError(
            f"{raw}: its images have {info.pixels} x {info.pixels} pixels; expected {tasks[0].pixels} x {tasks[0].pixels}; run: "
            "dvc repro -f resolve, which says what to do"
        )
    chosen = [task.language for task in tasks]
    entries = read_catalogue(info)
    found = choose(info, entries, chosen, [*chosen, *(entry.instruction for entry in entries)])
    units = []
    for task in tasks:
        members = found[task.language]
        for start in range(0, len(members), DEMOS_PER_UNIT):
            part = tuple(members[start : start + DEMOS_PER_UNIT])
            units.append(Episodes(task, raw, tuple(entry.demo for entry in part), part))
    return units


def expected_frames(units: Sequence[Episodes]) -> str:
    """Return what the frames of all units will need, in words."""
    lengths, pixels = [entry.length for unit in units for entry in unit.entries], units[0].task.pixels
    return forecast(
        sum(lengths), pixels, 2 * SHARE * size_of(sum(lengths), pixels), size_of(max(lengths, default=0), pixels)
    )


def sources_of(raw: Path) -> list[str]:
    """Return the sha256 of the files of a dataset that decide what it holds."""
    return [file_digest(raw / name) for name in dataset_files(raw)]


def noops(units: Sequence[Episodes]) -> str:
    """Return how many steps the release's rule would drop, in words, for they stay."""
    actions = [read_steps(read_info(unit.raw), entry).actions for unit in units for entry in unit.entries]
    count = sum(len(one) - len(without_noops(one)) for one in actions)
    return f"{count} of {sum(map(len, actions))} steps move nothing by the release's rule; they stay, as in the dataset"


def convert(unit: Episodes, path: Path, advance: Callable[[int], object]) -> None:
    """Write a unit's episodes as the filter writes those that it has replayed; without what a dataset does not hold.

    Args:
        unit: what to convert.
        path: of the HDF5 file to write.
        advance: told the number of episodes that are done, now and then.
    """
    info, verdicts = read_info(unit.raw), []
    with new_hdf5(path) as file:
        data = file.create_group("data")
        for entry in unit.entries:
            steps, frames = read_steps(info, entry), read_frames(info, entry)
            arrays = {"actions": steps.actions, "rewards": last_step(entry.length), "dones": last_step(entry.length)}
            if steps.state is not None:
                arrays |= _observations(steps.state)
            group = data.create_group(entry.demo)
            write_arrays(group, arrays)
            write_frames(group, FRAMES, frames)
            verdicts.append(asdict(Verdict(entry.demo, True, KEPT, entry.length, 0, entry.length)))
            advance(1)
        data.attrs["verdicts"] = json.dumps(verdicts)


def _observations(state: np.ndarray) -> dict[str, np.ndarray]:
    """Return the robot's state ``[T, 8]`` by the names of LIBERO's files."""
    return {
        "obs/ee_pos": state[:, :3],
        "obs/ee_ori": state[:, 3:6],
        "obs/ee_states": state[:, :6],
        "obs/gripper_states": state[:, 6:],
    }
