"""Units that are quick, and troubles that they meet; importable by workers."""

import contextlib
import errno
import os
import signal
import time
from pathlib import Path

from worldvla.running.job import Job, Unit
from worldvla.running.units import finished_units

SECONDS = 0.05


@contextlib.contextmanager
def numbers(trouble: Path):
    """Yield what writes the square of a number; ``trouble`` is a folder with a file per number that is to fail."""
    if (trouble / "begin").exists():
        raise ValueError("no renderer here; expected one; install it")

    def write(number: int, path: Path, advance) -> None:
        with (trouble / "log").open("a") as log:
            log.write(f"{number} {os.getpid()} {os.environ.get('ARITHMETIC')}\n")
        path.write_text("half")
        time.sleep(SECONDS)
        meet(trouble / f"{number}", number)
        advance(1)
        path.write_text(f"{number**2}\n")

    yield write


def meet(trouble: Path, number: int) -> None:
    """Do to this worker what the file says, and take a letter off it: it says how often."""
    kinds = trouble.read_text().split() if trouble.exists() else []
    if not kinds:
        return
    trouble.write_text(" ".join(kinds[1:]))
    if kinds[0] == "refuse":
        raise ValueError(f"number {number} is no good; expected another; change it")
    if kinds[0] == "break":
        raise RuntimeError("no luck")
    if kinds[0] == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if kinds[0] == "wait":
        time.sleep(60)
    if kinds[0] == "meet":  # until nobody else's file says so any more
        deadline = time.monotonic() + 30
        while any(path.read_text() == "meet" for path in trouble.parent.glob("[0-9]*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        return
    os.kill(os.getpid(), {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}[kinds[0]])


def job(folder: Path, count: int = 12) -> Job:
    """Return a job of some numbers; ``folder`` also holds the troubles."""
    return Job(
        folder / "work/toy/0123456789abcdef",
        begin=numbers,
        arguments=(folder,),
        units=tuple(Unit(f"{number:06d}", number) for number in range(count)),
        noun="number",
        suffix=".txt",
        environment={"ARITHMETIC": "same"},
    )


def results(folder: Path, count: int = 12) -> list[Path]:
    """Do the job and return its results."""
    with finished_units(job(folder, count)) as done:
        return done
