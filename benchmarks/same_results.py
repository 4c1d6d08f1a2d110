"""What the runs of two copies of the project came to, and whether a training was done again."""

import collections
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from benchmarks.project_copy import Project
from worldvla.files import file_digest, folder_digest

REPORTS = "reports"


def faults(project: Project, reference: Project, targets: list[str]) -> list[str]:
    """Return in words whatever keeps a copy whose pipeline ran to the end from being the same as the reference."""
    try:
        different = differences(outputs(project), outputs(reference))
        if REPORTS in project.digests():
            different += [
                f"{REPORTS}/{name}" for name in differences(pages(project, reference), pages(reference, reference))
            ]
        printed = project.dvc("repro", *targets)
    except (AssertionError, OSError) as error:
        return [f"its results cannot be compared: {error}"]
    found = [f"other bytes: {name}" for name in different]
    found += [f"spoilt in DVC's cache: {name}" for name in spoilt(project.folder / ".dvc" / "cache")]
    if "Data and pipelines are up to date." not in printed:
        found.append(f"dvc repro found something to do: ...{printed[-1000:]}")
    return found


def outputs(project: Project) -> dict[str, tuple[str, str]]:
    """Return output -> what dvc.lock says of it and the digest of its files; without wall clocks, and what shows them."""
    found = {}
    for name, locked in project.digests().items():
        if name != REPORTS:
            path = project.folder / name
            found[name] = locked, folder_digest(path) if path.is_dir() else file_digest(path)
    return found


def pages(project: Project, clocks: Project) -> dict[str, str]:
    """Write the report of a copy again, with the wall clocks of another; return page -> digest."""
    command = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]["report"]["cmd"]
    out, data = project.folder.parent / REPORTS, clocks.folder / "data"
    # Of a flag that is given twice the last counts.
    arguments = ("--speed", str(data / "speed"), "--timing", str(data / "timing"), "--out", str(out))
    project.run(*shlex.split(command), *arguments)
    return {path.relative_to(out).as_posix(): file_digest(path) for path in out.rglob("*") if path.is_file()}


def differences(ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    """Return the keys whose values differ, or that only one of the two has."""
    return sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))


def spoilt(cache: Path) -> list[str]:
    """Return the files of a DVC cache whose MD5 is not what they are called."""
    found = []
    for path in sorted(cache.glob("files/md5/??/*")):
        name = re.fullmatch(r"([0-9a-f]{30})(\.dir)?", path.name)  # else a file that was never finished
        if name and hashlib.md5(path.read_bytes()).hexdigest() != path.parent.name + name[1]:
            found.append(path.relative_to(cache).as_posix())
    return found


def notes(project: Project) -> list[str]:
    """Return what the probe noted of a copy."""
    path = project.folder.parent / "steps.txt"
    return path.read_text().splitlines() if path.exists() else []


def trainings(lines: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the steps of each training, and how many processes took steps after it was finished, if any did.

    Args:
        lines: what ``probe/sitecustomize.py`` noted of one copy: a process, an output, and ``step`` or ``written``.
    """
    steps: collections.Counter[str] = collections.Counter()
    finished: set[str] = set()
    again: dict[str, set[str]] = collections.defaultdict(set)
    for line in lines:
        process, out, what = line.split()
        if what == "written":
            finished.add(out)
            continue
        steps[out] += 1
        if out in finished:
            again[out].add(process)
    return dict(steps), {out: len(processes) for out, processes in again.items()}
