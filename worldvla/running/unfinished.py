"""Where a stage leaves what it has finished, until DVC has saved its result.

``work/<stage>/<digest>``, git-ignored; the digest is of all that decides the result. Nothing there is deleted before DVC has
the result: a kill between a stage's last line and dvc.lock costs no training.
"""

import contextlib
import hashlib
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import yaml

import worldvla
from worldvla.files import atomic_file, file_digest, value_digest, write_text

WORK, LOCK = Path("work"), Path("dvc.lock")
CODE = ("worldvla/", "pipeline/")
FINISHED, SECONDS = "finished", "seconds"
DVC_STAGE = "DVC_STAGE"  # a variable that DVC sets for what it runs: the stage's name

Content = TypeVar("Content")


def work_folder(stage: str, inputs: object) -> Path:
    """Return ``work/<stage>/<digest>`` for one set of inputs and the code that decides the result.

    A stage continues only from work that the same params, the same data and the same code began: anything else has
    another folder.

    Args:
        stage: the stage's name.
        inputs: JSON-serialisable; params and digests of the data read.
    """
    root = Path(worldvla.__file__).parent.parent
    code = [[path, file_digest(root / path)] for path in code_of(stage)]
    return WORK / stage / value_digest([inputs, code])[:16]


def code_of(stage: str) -> list[str]:
    """Return the files of code that a stage of dvc.yaml depends on, which are those that decide its bytes."""
    text = (Path(worldvla.__file__).parent.parent / "dvc.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"][stage]
    return [dep for dep in content.get("do", content)["deps"] if dep.startswith(CODE)]


def finish(work: Path) -> None:
    """Note that a stage has written its result; the work is deleted when DVC has saved that, or now without DVC."""
    stage = os.environ.get(DVC_STAGE)
    if stage is None:
        shutil.rmtree(work, ignore_errors=True)
    else:
        write_text(work / FINISHED, f"{stage}\n{_entry(stage)}")


def sweep() -> None:
    """Delete the work of stages whose results DVC has saved: whose entry in dvc.lock has changed since they finished.

    Not while a DVC may write dvc.lock, which it cuts first.

    An entry that did not change (a stage that was forced, and came out the same) leaves the work there until a run of the
    stage that is saved otherwise.
    """
    for path in WORK.glob(f"*/*/{FINISHED}"):
        stage, _, before = path.read_text(encoding="utf-8").partition("\n")
        if _entry(stage) != before:
            shutil.rmtree(path.parent, ignore_errors=True)


def _entry(stage: str) -> str:
    """Return the digest of a stage's entry in dvc.lock; nothing if it has none."""
    if not LOCK.is_file():
        return ""
    lines = LOCK.read_text(encoding="utf-8").split("\n")
    if f"  {stage}:" not in lines:
        return ""
    first = lines.index(f"  {stage}:") + 1
    entry = lines[first:]
    size = next((number for number, line in enumerate(entry) if not line.startswith("   ")), len(entry))
    return hashlib.sha256("\n".join(entry[:size]).encode()).hexdigest()


class Clock:
    """The seconds of all sittings at some work, those that were killed too, up to their last second."""

    def __init__(self, work: Path) -> None:
        """Go on from what earlier sittings noted."""
        self._path = work / SECONDS
        with contextlib.suppress(OSError, ValueError):  # none, or one that was damaged: only a figure for people
            self._earlier = float(self._path.read_text())
        self._started = self._noted = time.monotonic()

    _earlier = 0.0

    def seconds(self) -> float:
        """Return the seconds so far."""
        return self._earlier + time.monotonic() - self._started

    def note(self) -> None:
        """Write them down; at most once a second."""
        if time.monotonic() - self._noted >= 1:
            self._noted = time.monotonic()
            write_text(self._path, f"{self.seconds():.1f}")


def read_checkpoint(path: Path, read: Callable[[Path], Content]) -> Content | None:
    """Return what ``read`` makes of a checkpoint; None if there is none, or a damaged one, which is named and set aside.

    Not deleted: reading may fail for want of memory too. It goes with the rest of the unfinished work.
    """
    if not path.is_file():
        return None
    try:
        return read(path)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, pickle.UnpicklingError):
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        print(
            f"{path}: cannot be read; expected the checkpoint of an interrupted run; set aside as {aside.name}, beginning anew",
            flush=True,
        )
        return None


@contextlib.contextmanager
def checkpoint_file(final: Path) -> Iterator[BinaryIO]:
    """Yield a stream for one ``torch.save``; the file appears whole or not at all.

    Raises:
        OSError: it cannot be written, e.g. to a full disk.
    """
    with atomic_file(final) as scratch, scratch.open("wb") as stream:
        try:
            yield stream
        except RuntimeError as error:
            # torch then fails at the end of its archive too, and shows that instead of what went wrong first.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
