"""Leases on things in a folder that many processes share, on one machine or on many.

A lease is a file ``<name>.<number>``. Whoever creates the next number, which a file system lets one process do, has the
thing; the numbers before are what became of earlier attempts. Its holder writes a rising count into it, so that others see
that it lives: by the count's rise on their own clock, for clocks of machines disagree. A holder on the same machine is
simply looked for.

Whoever is taken for dead and is not only does the same work again: leases save time, results do not depend on them.
"""

import contextlib
import functools
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from worldvla.files import PROCESS, write_text

BEAT_S = 5.0
LOST_AFTER_S = 60.0  # without a beat; a shared disk may show a beat this late

RUNNING, DONE, RELEASED, FAILED = "running", "done", "released", "failed"


@dataclass(frozen=True)
class Attempt:
    """What the file of a lease says."""

    host: str  # of its holder; equal for processes that see each other
    pid: int
    started: float  # of the process, on its machine's clock: a pid may come again
    where: str  # the same for people
    state: str = RUNNING
    beat: int = 0
    progress: int = 0
    kind: str = ""  # of a failure
    error: str = ""
    number: int = 0  # from the file's name

    @property
    def is_here(self) -> bool:
        """Whether the holder is, or was, a process that this one can see."""
        return self.host == _host()

    @property
    def holder_is_gone(self) -> bool:
        """Whether the holder is of this machine and does not live any more."""
        if not self.is_here:
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True


class Lease:
    """A lease that this process holds; beats by itself until it is ended."""

    def __init__(self, path: Path, attempt: Attempt) -> None:
        self._path, self._attempt = path, attempt
        self._lock, self._over = threading.Lock(), threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def advance(self, count: int) -> None:
        """Add to the progress that others see with the next beat."""
        self._attempt = replace(self._attempt, progress=self._attempt.progress + count)

    def end(self, state: str, kind: str = "", error: str = "") -> None:
        """Write how it ended; only the first call counts."""
        with self._lock:
            if not self._over.is_set():
                self._over.set()
                self._attempt = replace(self._attempt, state=state, kind=kind, error=error)
                self._write()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with self._lock:
                if not self._over.is_set():
                    self._attempt = replace(self._attempt, beat=self._attempt.beat + 1)
                    with contextlib.suppress(OSError):  # the work will fail for the same reason, and say so
                        self._write()

    def _write(self) -> None:
        write_text(self._path, json.dumps(asdict(self._attempt)))


@dataclass
class Leases:
    """The leases of a folder as one process sees them."""

    folder: Path
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)  # file -> its beat, and since when on our clock

    def last(self) -> dict[str, Attempt]:
        """Return the last attempt at every thing that was ever leased."""
        numbers: dict[str, int] = {}
        for name, number in self._files():
            numbers[name] = max(number, numbers.get(name, 0))
        return {name: attempt for name, number in numbers.items() if (attempt := self._read(name, number))}

    def of(self, name: str) -> list[Attempt]:
        """Return all attempts at one thing, in their order."""
        numbers = sorted(number for other, number in self._files() if other == name)
        return [attempt for number in numbers if (attempt := self._read(name, number))]

    def is_lost(self, name: str, attempt: Attempt) -> bool:
        """Return whether a running attempt's holder is gone, or has not been heard of for a minute of our watching."""
        if attempt.state != RUNNING:
            return False
        if attempt.holder_is_gone:
            return True
        key, now = f"{name}.{attempt.number}", time.monotonic()
        beat, since = self._seen.get(key, (-1, now))
        if beat != attempt.beat:
            self._seen[key] = attempt.beat, now
            return False
        return now - since > LOST_AFTER_S

    def take(self, name: str, last: Attempt | None) -> Lease | None:
        """Take the lease after the ``last`` attempt; None if somebody else was quicker."""
        attempt = replace(_me(), number=last.number + 1 if last else 1)
        final = self.folder / f"{name}.{attempt.number}"
        scratch = self.folder / f".partial-{PROCESS}-{name}"
        scratch.write_text(json.dumps(asdict(attempt)), encoding="utf-8")
        try:
            os.link(scratch, final)  # fails if it is there, and never shows a file half-written
        except FileExistsError:
            return None
        finally:
            scratch.unlink()
        return Lease(final, attempt)

    def forget(self, name: str, attempt: Attempt) -> None:
        """Delete what is known of an attempt."""
        (self.folder / f"{name}.{attempt.number}").unlink(missing_ok=True)

    def _files(self) -> list[tuple[str, int]]:
        split = [file.rpartition(".") for file in os.listdir(self.folder) if not file.startswith(".")]
        return [(name, int(number)) for name, _, number in split if number.isdecimal()]

    def _read(self, name: str, number: int) -> Attempt | None:
        """Return an attempt; None if it was deleted meanwhile. One that cannot be read is one that failed."""
        path = self.folder / f"{name}.{number}"
        try:
            return replace(Attempt(**json.loads(path.read_text(encoding="utf-8"))), number=number)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Attempt("", 0, 0, "unknown", state=RELEASED, number=number)


@functools.cache
def _host() -> str:
    """Return what processes have in common that see each other's pids: the machine since its start, and the container."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    container = Path("/proc/self/ns/pid")
    return "/".join(
        [
            socket.gethostname(),
            boot.read_text().strip() if boot.exists() else "",
            os.readlink(container) if container.exists() else "",
        ]
    )


def _me() -> Attempt:
    process = psutil.Process()
    return Attempt(_host(), process.pid, process.create_time(), f"process {process.pid} on {socket.gethostname()}")
