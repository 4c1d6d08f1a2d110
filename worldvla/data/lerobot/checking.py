"""A LeRobot dataset as the raw demonstrations of a suite: checked, all but its frames, and copied."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldvla.data.lerobot.catalogue import Entry, choose, read_catalogue
from worldvla.data.lerobot.info import dataset_files, read_info
from worldvla.data.lerobot.reading import check_gripper, read_steps
from worldvla.files import file_digest
from worldvla.params.recorded import check_digest
from worldvla.running.console import Progress
from worldvla.running.forecast import check_room


@dataclass(frozen=True)
class Checked:
    """A dataset's episodes of a suite's chosen tasks."""

    entries: dict[str, list[Entry]]  # by instruction
    steps: int


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
    return Checked(entries, sum(len(one.actions) for one in steps))


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
