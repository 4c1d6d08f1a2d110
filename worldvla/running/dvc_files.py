"""What a kill may leave of DVC's own files: dvc.lock and the table of its processes' locks are written in place.

All else of DVC's appears whole (the cache and the run cache, by renaming) or mends itself (its SQLite tables). Call these
while holding DVC's lock of the repository, under which it writes both.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import psutil
import yaml

from worldvla.files import atomic_file, write_text

LOCK_FILE = "dvc.lock"
WHOLE = Path("work/dvc.lock.whole")  # what it was when the runner last saw it whole
DAMAGED = Path("work/dvc.lock.damaged")


def keep(root: Path) -> None:
    """Keep a copy of dvc.lock, which is whole."""
    if (root / LOCK_FILE).exists():
        with atomic_file(root / WHOLE) as scratch:
            shutil.copyfile(root / LOCK_FILE, scratch)


def mend(root: Path, table: Path) -> list[str]:
    """Mend dvc.lock and the table of locks if a kill has cut them; return what to say of it, a line each.

    What the copy lacks DVC's run cache has: it is written before dvc.lock is.

    Args:
        root: the project.
        table: DVC's ``rwlock``.
    """
    lines = []
    if (root / LOCK_FILE).exists() and not _is_whole(root / LOCK_FILE):
        (root / DAMAGED).parent.mkdir(exist_ok=True)
        (root / LOCK_FILE).replace(root / DAMAGED)
        line = f"{LOCK_FILE} was cut, by a kill while DVC wrote it; it now lies in {DAMAGED}"
        if (root / WHOLE).exists():
            shutil.copyfile(root / WHOLE, root / LOCK_FILE)
            lines.append(f"{line}, and the last whole one is back: DVC restores from its run cache what that lacks")
        else:
            lines.append(f"{line}: DVC restores from its run cache what was done")
    keep(root)
    _free(table)
    return lines


def _is_whole(path: Path) -> bool:
    """Return whether a dvc.lock was written to its end: three quarters of cut ones are YAML still."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return text.endswith("\n") and isinstance(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), dict)
    except yaml.YAMLError:
        return False


def _free(table: Path) -> None:
    """Drop from the table of locks what belongs to no living DVC process.

    DVC does so itself unless another process has got the number since, as in the next container; and it refuses a cut
    table for ever.
    """
    if not table.exists():
        return
    try:
        content = json.loads(table.read_text())
        write = {path: holder for path, holder in content.get("write", {}).items() if _holds(holder)}
        read = {path: list(filter(_holds, holders)) for path, holders in content.get("read", {}).items()}
    except (ValueError, LookupError, AttributeError, TypeError):
        table.unlink()
        return
    write_text(
        table, json.dumps({"write": write, "read": {path: holders for path, holders in read.items() if holders}})
    )


def _holds(holder: dict[str, Any]) -> bool:
    """Return whether the process that the table names lives and is what it was: its arguments are the same."""
    try:
        return psutil.Process(holder["pid"]).cmdline()[-1:] == holder["cmd"].split(" ")[-1:]
    except psutil.Error:
        return False
