"""The processes of a run: what they are, which of them to kill, and which have outlived what started them.

They are told from all others by a variable of their environment, which a process also keeps after its ancestors are gone.
"""

import collections
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

MARKER = "WORLDVLA_KILLS"
KINDS = ("worker", "stage", "dvc", "runner", "everything")


@dataclass(frozen=True)
class Seen:
    """A process as it was at one moment."""

    pid: int
    parent: int
    created: float  # seconds since the epoch; tells it from a later one of the same pid
    command: tuple[str, ...]

    @property
    def key(self) -> tuple[int, float]:
        """Return what stays the same for all its life."""
        return self.pid, self.created

    @property
    def module(self) -> str:
        """Return what runs as ``python -m MODULE``; nothing of other commands."""
        if not self.is_python or "-m" not in self.command[:-1]:
            return ""
        return self.command[self.command.index("-m") + 1]

    @property
    def is_python(self) -> bool:
        """Return whether it is a Python."""
        return bool(self.command) and os.path.basename(self.command[0]).startswith("python")

    def kill(self) -> None:
        """Send SIGKILL to this very process, if it still lives."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if process.create_time() == self.created:
                process.send_signal(signal.SIGKILL)


Tree = Mapping[int, Seen]  # by pid


def read_tree(marker: str) -> dict[int, Seen]:
    """Return every process that has the marker and is not dead."""
    tree = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARKER) == marker and process.status() != psutil.STATUS_ZOMBIE:
                seen = Seen(process.pid, process.ppid(), process.create_time(), tuple(process.cmdline()))
                tree[seen.pid] = seen
    return tree


def ancestors(tree: Tree, process: Seen) -> Iterator[Seen]:
    """Yield what a process comes from, as far as it lives and is marked, nearest first."""
    known = {process.pid}
    while (parent := tree.get(process.parent)) is not None and parent.pid not in known:
        known.add(parent.pid)
        yield parent
        process = parent


def kind_of(tree: Tree, process: Seen) -> str | None:
    """Return which of ``KINDS`` a process is; None for a shell, a helper, or one that is about to become another."""
    parent = tree.get(process.parent)
    if parent is not None and parent.command == process.command:
        return None
    if process.module == "pipeline.parallel":
        return "runner"
    if process.module == "dvc":
        return "dvc" if "repro" in process.command else None
    if any(is_stage(other) for other in ancestors(tree, process)):
        return "worker" if process.is_python and "resource_tracker" not in " ".join(process.command) else None
    return "stage" if is_stage(process) else None


def is_stage(process: Seen) -> bool:
    """Return whether a process runs a stage's own command."""
    return process.module.startswith("pipeline.") and process.module != "pipeline.parallel"


def stage_of(tree: Tree, process: Seen) -> str:
    """Return the stage that a process belongs to as DVC calls it; nothing for what runs them all."""
    modules = ""
    for other in (process, *ancestors(tree, process)):
        if other.module == "dvc":
            return other.command[-1]
        if is_stage(other):
            modules = other.module  # DVC's process is gone
    return modules


def choose(tree: Tree, counts: Mapping[str, int], draw: random.Random) -> tuple[str, list[Seen]] | None:
    """Draw a kind of those that are there, rather one that was rarely killed, and what to kill; None if nothing is there."""
    there: dict[str, list[Seen]] = collections.defaultdict(list)
    for pid in sorted(tree):
        if kind := kind_of(tree, tree[pid]):
            there[kind].append(tree[pid])
    if "runner" in there:
        there["everything"] = list(tree.values())
    kinds = [kind for kind in KINDS if kind in there]
    if not kinds:
        return None
    kind = draw.choices(kinds, [1 / (1 + counts[kind]) for kind in kinds])[0]
    return kind, there[kind] if kind == "everything" else [draw.choice(there[kind])]


class Watch:
    """What lives of the runs with a marker, looked at again and again.

    Attributes:
        tree: all of it.
        orphans: process -> when its chain of ancestors was first seen to end before the runner, and what it is.
        longest: seconds for which one was seen to live on, and what it was.
    """

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.tree: dict[int, Seen] = {}
        self.orphans: dict[tuple[int, float], tuple[float, Seen]] = {}
        self.longest: tuple[float, str] = (0.0, "")
        self._had_command: set[tuple[int, float]] = set()

    def look(self, runner: int | None) -> None:
        """Look again; whatever does not descend from the runner is an orphan, everything if there is none."""
        self.tree, now, before = read_tree(self.marker), time.monotonic(), self.orphans
        self.orphans = {}
        for process in self.tree.values():
            chain = [process, *ancestors(self.tree, process)]
            if chain[-1].pid != runner:
                since, _ = before.get(process.key, (now, process))
                self.orphans[process.key] = since, process
                self.longest = max(self.longest, (now - since, describe(process)))
            if is_stage(process):
                self._had_command |= {other.key for other in chain if other.module == "dvc"}

    def overdue(self, seconds: float) -> list[tuple[float, Seen]]:
        """Return the orphans that live for longer than that, with their seconds."""
        now = time.monotonic()
        return [(now - since, process) for since, process in self.orphans.values() if now - since > seconds]

    def phases(self) -> dict[str, str]:
        """Return for every stage that DVC has at work whether its command is yet to run, runs, or has ended."""
        running = {stage_of(self.tree, process) for process in self.tree.values() if is_stage(process)}
        found = {}
        for process in self.tree.values():
            if kind_of(self.tree, process) == "dvc":
                name = stage_of(self.tree, process)
                after = "ending" if process.key in self._had_command else "starting"
                found[name] = "running" if name in running else after
        return found

    def kill_all(self) -> None:
        """Kill until nothing is left; a dying process may be starting another."""
        deadline = time.monotonic() + 10
        while (tree := read_tree(self.marker)) and time.monotonic() < deadline:
            for process in tree.values():
                process.kill()
            time.sleep(0.01)


def describe(process: Seen) -> str:
    """Return a process in a few words."""
    words = " ".join(process.command)
    return f"{process.pid} {words[:100]}{'...' if len(words) > 100 else ''}"
