"""Where a stage leaves what it has finished, until DVC has saved its result.

``work/<stage>/<digest>``, git-ignored; the digest is of all that decides the result. Nothing there is deleted before DVC has
the result: a kill between a stage's last line and dvc.lock costs no training.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections import defaultdict
from pathlib import Path

from worldvla.files import value_digest, write_text
from worldvla.running.watching import DVC_STAGE
from worldvla.stage_code import code_digest

WORK, LOCK = Path("work"), Path("dvc.lock")
FINISHED, SECONDS = "finished", "seconds"


def work_folder(stage: str, inputs: object) -> Path:
    """Return ``work/<stage>/<digest>`` for one set of inputs and the code that decides the result.

    A stage continues only from work that the same params, the same data and the same code began: anything else has
    another folder.

    Args:
        stage: the stage's name.
        inputs: JSON-serialisable; params and digests of the data read.
    """
    return WORK / stage / value_digest([inputs, code_digest(stage)])[:16]


def finish(work: Path) -> None:
    """Note that a stage has written its result; the work is deleted when DVC has saved that, or now without DVC."""
    stage = os.environ.get(DVC_STAGE)
    if stage is None:
        shutil.rmtree(work, ignore_errors=True)
    else:
        write_text(work / FINISHED, f"{stage}\n{_entry(stage)}")


def sweep() -> None:
    """Delete the work of stages whose results DVC has saved: whose entry in dvc.lock has changed since they finished.

    Of several that one stage has finished, as under other params and killed before it was saved, it is the last that was
    saved. An entry that did not change (a stage that was forced, and came out the same) leaves the work there until a run
    of the stage that is saved otherwise, and an entry that is not there is of a dvc.lock that is not whole.

    Not while a DVC may write dvc.lock, which it cuts first.
    """
    by_stage: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(WORK.glob(f"*/*/{FINISHED}"), key=lambda path: path.stat().st_mtime_ns):
        by_stage[path.read_text(encoding="utf-8").partition("\n")[0]].append(path)
    for stage, (*others, last) in by_stage.items():
        entry = _entry(stage)
        if entry and entry != last.read_text(encoding="utf-8").partition("\n")[2]:
            shutil.rmtree(last.parent, ignore_errors=True)
            for path in others:
                write_text(path, f"{stage}\n{entry}")


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


def seconds_of(work: Path) -> float:
    """Return the seconds of all sittings at some work."""
    return Clock(work).note(counts=False)


class Clock:
    """The seconds of all sittings at some work, those that were killed too, up to their last second."""

    def __init__(self, work: Path) -> None:
        """Go on from what earlier sittings noted."""
        self._path = work / SECONDS
        self._seconds = 0.0
        with contextlib.suppress(OSError, ValueError):  # none, or one that was damaged: only a figure for people
            self._seconds = float(self._path.read_text())
        self._last = self._written = time.monotonic()

    def note(self, counts: bool = True) -> float:
        """Count the time since the last note, or leave it out, as that of a queue; return the seconds so far."""
        now = time.monotonic()
        if counts:
            self._seconds += now - self._last
        self._last = now
        if now - self._written >= 1:
            self.write()
        return self._seconds

    def write(self) -> None:
        """Write them down, as ``note`` does once a second."""
        self._written = time.monotonic()
        write_text(self._path, f"{self._seconds:.1f}")
