"""A LeRobot dataset as the demonstrations of a suite: checked and copied by download, made episodes by filter, unreplayed.

Episodes of such sets are filtered already, and hold their frames: they are taken as they are, no-ops too if there are any.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldvla.data.episodes import FRAMES
from worldvla.data.filter_units import DEMOS_PER_UNIT, Demos, FilterTask
from worldvla.data.filtering import KEPT, Verdict, without_noops
from worldvla.data.frames import SHARE, size_of, write_frames
from worldvla.data.hdf5 import last_step, new_hdf5, write_arrays
from worldvla.data.lerobot.catalogue import Entry, choose, read_catalogue
from worldvla.data.lerobot.info import dataset_files, read_info
from worldvla.data.lerobot.reading import check_gripper, read_frames, read_steps
from worldvla.files import file_digest
from worldvla.params.recorded import check_digest
from worldvla.running.console import Progress
from worldvla.running.forecast import check_room, forecast


@dataclass(frozen=True)
class Checked:
    """A dataset's episodes of a suite's chosen tasks."""

    entries: dict[str, list[Entry]]  # by instruction
    steps: int
    noops: int  # steps that the release's rule would drop


def check_dataset(folder: Path, chosen: Sequence[str], known: Iterable[str]) -> Checked:
    """Check that a dataset has whole episodes of all chosen instructions, of this robot; read all of it but the frames.

    Raises:
        ValueError: one sentence with what is wrong.
    """
    info = read_info(folder)
    entries = choose(info, read_catalogue(info), chosen, known)
    members = [entry for of_task in entries.values() for entry in of_task]
    missing = [entry for entry in members if entry.video and not (folder / entry.video).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: no '{missing[0].video}' of episode {missing[0].index}; download or export it again"
        )
    steps = [read_steps(info, entry) for entry in Progress(members, desc="check", unit="episode")]
    check_gripper(info, steps)
    noops = sum(len(one.actions) - len(without_noops(one.actions)) for one in steps)
    return Checked(entries, sum(len(one.actions) for one in steps), noops)


def copy_dataset(folder: Path, checked: Checked, recorded: Mapping[str, str], out: Path) -> dict[str, dict[str, Any]]:
    """Copy what the chosen episodes are in, and ``meta/``; return the sha256 of each file by its path in the dataset.

    Args:
        folder: the dataset.
        checked: its episodes.
        recorded: sha256 of its files as ``resolve`` found them; may be empty.
        out: where to.

    Raises:
        ValueError: there is no room, or a file is not the recorded one.
    """
    members = [entry for of_task in checked.entries.values() for entry in of_task]
    wanted = {name for entry in members for name in (entry.data, entry.video) if name}
    names = [name for name in dataset_files(folder) if name in wanted or name.startswith("meta/")]
    check_room(sum((folder / name).stat().st_size for name in names))
    manifest = {}
    for name in Progress(names, desc="copy", unit="file"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)
        digest = file_digest(out / name)
        if recorded:
            check_digest(f"demonstrations_folder: {folder / name}", digest, recorded.get(name, "none"))
        manifest[name] = {"sha256": digest}
    return manifest


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
