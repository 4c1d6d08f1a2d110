"""Files outside the repository that params name: asked for before anything runs, and recorded by digest.

DVC does not see them. So ``resolve`` writes the sha256 of each beside its name (``digests``), and a change of theirs runs
exactly the stages that read them. DVC runs ``resolve`` itself only when params or ``conf/`` change: ``./run reproduce``
compares beforehand and has it run (``worldvla/overrides.py``); under plain ``dvc repro`` a stage that reads a file which
is not the recorded one refuses it (``worldvla/params/recorded.py``).
"""

import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worldvla.data.file_names import suite_files
from worldvla.data.lerobot.info import dataset_files, dataset_folder, read_info
from worldvla.files import file_digest, write_json
from worldvla.params.benchmarks import suite_folder
from worldvla.params.experiment import ExperimentParams
from worldvla.params.recorded import demonstrations_digest
from worldvla.params.tokenizer import PUBLISHED
from worldvla.tokenizers.weights_file import NAMES, weights_file

OUTPUTS = ("data", "reports")  # where the stages write
# Params of each section that name a file; of `weights` a folder that holds one will do.
FILES = {
    "tokenizer": ("text_file", "weights", "perceptual_weights"),
    "video_metrics": ("i3d_weights", "lpips_vgg", "lpips_alex"),
}
CLOCK_S = 2.0  # within it a file may change again without another time of change
TOLD = 500e6  # bytes of a file that takes a while to read


def place_fault(path: str, root: Path, what: str, remedy: str) -> str | None:
    """Return what is wrong with the place of a file or folder of the user's, if anything: a sentence less its subject.

    Args:
        path: as params name it, from ``root``.
        root: the folder of params.yaml.
        what: "file", "folder" or "file or folder".
        remedy: what to do if it is not there or of the wrong kind.
    """
    home = ", as '~' is not your home folder here" if path.startswith("~") else ""
    absent = f"is '{path}', no such {what}{home}; {remedy}"
    try:
        place = Path(os.path.realpath(root / path))
    except ValueError:  # a character that no name has
        return absent
    if inside := [out for out in OUTPUTS if place.is_relative_to(os.path.realpath(root / out))]:
        return (
            f"'{path}' is inside {inside[0]}/, whose content DVC deletes before a stage writes anew; expected a {what} "
            "elsewhere; move it there and name it"
        )
    try:
        is_folder, is_file = stat.S_ISDIR(os.stat(place).st_mode), stat.S_ISREG(os.stat(place).st_mode)
        readable = os.access(place, os.R_OK | (os.X_OK if is_folder else 0))
    except PermissionError:
        is_folder, is_file, readable = what == "folder", True, False
    except OSError:
        return absent
    kind = "folder" if is_folder else "file" if is_file else "device"
    if kind not in what:
        return f"is '{path}', which is a {kind}; expected a {what}; {remedy}"
    return None if readable else f"is '{path}', which cannot be read; expected a readable {what}; chmod it"


class Digests:
    """Sha256 of files, kept in ``work/digests.json`` by path, size and time of change: 34 GB are read once."""

    def __init__(self, root: Path) -> None:
        """Take the folder of params.yaml, from which files are named."""
        self._root, self._cache = root, root / "work/digests.json"

    def named(self, section: str, sizes: Mapping[str, Any]) -> dict[str, str]:
        """Return the sha256 of the files that a section of ``conf/`` names, by param.

        Raises:
            ValueError: a sentence, less its beginning ``<file>:``, for every one that cannot be read.
        """
        found, faults = {}, []
        for name in FILES[section]:
            path = sizes[section].get(name)
            if not isinstance(path, str) or path == PUBLISHED:
                continue
            what = "file or folder" if name == "weights" else "file"
            file = weights_file(self._root / path)
            if fault := place_fault(path, self._root, what, "correct it, or make it null"):
                faults.append(f"{section}.{name} {fault}")
            elif not file.is_file():
                faults.append(
                    f"{section}.{name} is '{path}', a folder; expected {' or '.join(NAMES)} in it; correct it"
                )
            else:
                found[name] = self._read(file)
        if faults:
            raise ValueError("\n".join(faults))
        return found

    def demonstrations(self, experiment: ExperimentParams, suite: str, tasks: Sequence[str]) -> dict[str, str]:
        """Return the digest of the user's files of some tasks of a suite, as "folder"; nothing if there is no folder.

        Of a LeRobot dataset, the digest of every file by its path: which tasks it is of is not known before it is read.

        Raises:
            ValueError: a file is missing or cannot be read, or a dataset is none that can be imported.
        """
        if experiment.demonstrations_folder is None:
            return {}
        folder = suite_folder(experiment.benchmark, suite)
        if experiment.demonstrations == "lerobot":
            dataset = dataset_folder(self._root / experiment.demonstrations_folder, folder)
            read_info(dataset)
            return {name: self._read(dataset / name) for name in dataset_files(dataset)}
        files = suite_files(self._root / experiment.demonstrations_folder, folder, tasks)
        return {"folder": demonstrations_digest({path.name: self._read(path) for path in files})}

    def _read(self, path: Path) -> str:
        try:
            known = json.loads(self._cache.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        try:
            state = path.stat()
            key, now = str(path.resolve()), [state.st_size, state.st_mtime_ns]
            if key in known and known[key][:-1] == now:
                return known[key][-1]
            if state.st_size > TOLD:
                print(f"{path}: reading {state.st_size / 1e9:.1f} GB, once, to record what is in it", flush=True)
            digest = file_digest(path)
        except PermissionError:
            raise ValueError(f"{path} cannot be read; expected a readable file; chmod it") from None
        if time.time() - state.st_mtime > CLOCK_S:
            write_json(self._cache, known | {key: [*now, digest]})
        return digest
