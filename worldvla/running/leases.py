"""Leases on things in a folder that many processes share, on one machine or on many.

A lease is a file ``<name>.<number>``. Whoever creates the next number, which a file system lets one process do, has the
thing; the numbers before are what became of earlier attempts. Its holder writes a rising count into it, so that others see
that it lives: by the count's rise on their own clock, for clocks of machines disagree. A holder on the same machine is
simply looked for.

Whoever is taken for dead and is not only does the same work again: leases save time, results do not depend on them.
"""

import contextlib
import errno
import functools
import json
import os
import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Container
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from worldvla.files import PROCESS
from worldvla.running.watching import began

BEAT_S = 5.0
LOST_AFTER_S = 60.0  # without a beat; a shared disk may show a beat this late
LOOKING_S = 10.0  # who looks more seldom has slept, and knows nothing of the time between
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # of file systems that have none

RUNNING, DONE, RELEASED, FAILED = "running", "done", "released", "failed"


@dataclass(frozen=True)
class Attempt:
    """What the file of a lease says."""

    host: str  # of its holder; equal for processes that see each other
    pid: int
    began: str | None  # the process, in ticks since its machine did: a pid may come again
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
        return self.is_here and began(self.pid) != self.began


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
        """Write how it ended; only the first call counts.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            if not self._over.is_set():
                self._attempt = replace(self._attempt, state=state, kind=kind, error=error)
                try:
                    self._write()
                finally:
                    self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with self._lock:
                if not self._over.is_set():
                    self._attempt = replace(self._attempt, beat=self._attempt.beat + 1)
                    with contextlib.suppress(OSError):  # the work will fail for the same reason, and say so
                        self._write()

    def _write(self) -> None:
        """Replace the file; never the folder, which may have been deleted with all that is in it."""
        scratch = self._path.with_name(f".partial-{PROCESS}-{self._path.name}")
        scratch.write_text(json.dumps(asdict(self._attempt)), encoding="utf-8")
        scratch.replace(self._path)


@dataclass
class Leases:
    """The leases of a folder as one process sees them; kept from look to look, for what is lost is seen in time alone."""

    folder: Path
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)  # file -> its beat, and since when on our clock
    _looked: float = field(default_factory=time.monotonic)

    def numbers(self) -> dict[str, list[int]]:
        """Return the numbers of the attempts at every thing that was ever leased, in order."""
        found: dict[str, list[int]] = defaultdict(list)
        for file in os.listdir(self.folder):
            name, _, number = file.rpartition(".")
            if number.isdecimal() and not file.startswith("."):
                found[name].append(int(number))
        return {name: sorted(numbers) for name, numbers in found.items()}

    def last(self, but: Container[str] = ()) -> dict[str, Attempt]:
        """Return the last attempt at every thing, less those of which nobody wants to know."""
        found = {name: numbers[-1] for name, numbers in self.numbers().items() if name not in but}
        return {name: attempt for name, number in found.items() if (attempt := self.read(name, number))}

    def of(self, name: str) -> list[Attempt]:
        """Return all attempts at one thing, in their order."""
        return [attempt for number in self.numbers().get(name, []) if (attempt := self.read(name, number))]

    def is_lost(self, name: str, attempt: Attempt) -> bool:
        """Return whether a running attempt's holder is gone, or has not been heard of for a minute of our watching."""
        now = time.monotonic()
        if now - self._looked > LOOKING_S:
            self._seen.clear()
        self._looked = now
        if attempt.state != RUNNING:
            return False
        if attempt.is_here:
            return attempt.holder_is_gone
        key = f"{name}.{attempt.number}"
        beat, since = self._seen.get(key, (None, now))
        if beat != attempt.beat:
            self._seen[key] = attempt.beat, now
            return False
        return now - since > LOST_AFTER_S

    def take(self, name: str, last: Attempt | None) -> Lease | None:
        """Take the lease after the ``last`` attempt; None if somebody else was quicker."""
        # The count begins anywhere: a number that comes again is then not taken for one that was seen before.
        attempt = replace(_me(), number=last.number + 1 if last else 1, beat=random.SystemRandom().getrandbits(30))
        final = self.folder / f"{name}.{attempt.number}"
        scratch = self.folder / f".partial-{PROCESS}-{name}"
        text = json.dumps(asdict(attempt))
        scratch.write_text(text, encoding="utf-8")
        try:
            try:
                os.link(scratch, final)  # fails if it is there, and never shows a file half-written
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                with final.open("x", encoding="utf-8") as stream:
                    stream.write(text)
        except FileExistsError:
            return None
        finally:
            scratch.unlink()
        return Lease(final, attempt)

    def forget(self, name: str, number: int) -> None:
        """Delete what is known of an attempt."""
        (self.folder / f"{name}.{number}").unlink(missing_ok=True)

    def read(self, name: str, number: int) -> Attempt | None:
        """Return an attempt; None if it was deleted or replaced meanwhile. One that cannot be read is nobody's."""
        path = self.folder / f"{name}.{number}"
        try:
            return replace(Attempt(**json.loads(path.read_text(encoding="utf-8"))), number=number)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return None
        except (ValueError, TypeError):
            return Attempt("", 0, None, "unknown", state=RELEASED, number=number)


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
    pid = os.getpid()
    return Attempt(_host(), pid, began(pid), f"process {pid} on {socket.gethostname()}")
