"""What starts workers that no stage started: one process per job, replaced when it dies.

A process of its own, for each job has its own code, environment of arithmetic and memory of the GPU.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from worldvla.running.job import read_job
from worldvla.running.leases import RUNNING
from worldvla.running.ledger import STAGE, Ledger

IDLE_S = 600.0  # without any work, until a worker that serves any job ends
POLL_S = 1.0
MAX_DEATHS = 10  # in one job: a unit that kills its workers is given up long before
CANNOT_BEGIN, INTERRUPTED, TOLD = 3, 130, 143  # exit codes of a worker: what it needs is not there; Ctrl-C; SIGTERM
ENDED = (0, CANNOT_BEGIN, INTERRUPTED, TOLD)  # it is not to be replaced
GRACE_S = 20.0  # for a worker to give its unit back


def worker_command(folder: Path, shard: tuple[int, int]) -> list[str]:
    """Return the command of a worker that ends with this process."""
    number, count = shard
    arguments = [str(folder), "--shard", f"{number}/{count}", "--parent", str(os.getpid())]
    return [sys.executable, "-m", "worldvla.running.worker", *arguments]


def keep(folder: Path, shard: tuple[int, int]) -> int:
    """Run a worker of one job, anew while it dies of a unit; return its exit code.

    Raises:
        ValueError: there is no job.
    """
    environment = os.environ | read_job(folder).environment
    for _ in range(MAX_DEATHS):
        code = _run(worker_command(folder, shard), environment)
        if code in ENDED or not folder.is_dir():
            return code
    return 1


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a process; what ends this one by SIGTERM or Ctrl-C ends it first, and it gives its unit back."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            process.kill()


def serve(shard: tuple[int, int]) -> None:
    """Do the units of any job, until there has been none for ten minutes."""
    ledgers: dict[Path, Ledger] = {}
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < IDLE_S:
        for folder in _open_jobs(ledgers):
            print(f"worker: units of {folder}", flush=True)
            code = keep(folder, shard)
            if code in (CANNOT_BEGIN, INTERRUPTED, TOLD):
                sys.exit(code)  # one that cannot begin would take units for ever, and give them back
            idle_since = time.monotonic()
        time.sleep(POLL_S)
    print(f"worker: no work for {IDLE_S / 60:.0f} minutes; ended. Start it again when a stage runs.")


def _open_jobs(ledgers: dict[Path, Ledger]) -> Iterator[Path]:
    """Yield the folders of jobs whose stage waits for units that nobody has in hand.

    Args:
        ledgers: those of the folders seen so far: who is lost is seen in time alone.
    """
    for path in sorted(Path("work").glob("*/*/job.json")):
        with contextlib.suppress(ValueError, OSError):  # it was deleted meanwhile
            job = read_job(path.parent)
            ledger = ledgers.get(path.parent)
            if ledger is None or ledger.units != job.units:
                ledger = ledgers[path.parent] = Ledger(path.parent, job.units, job.suffix)
            stage = ledger.leases.last().get(STAGE)
            if stage is None or stage.state != RUNNING or ledger.leases.is_lost(STAGE, stage):
                continue
            standing = ledger.standing()
            if any(not ledger.verdict(unit) for unit in {*job.units} - {*standing.done, *standing.running}):
                yield path.parent


def read_shard(text: str | None) -> tuple[int, int]:
    """Return (i, n) of ``i/n``, or of the task of a job array of SLURM; (0, 1) without either.

    Raises:
        ValueError: it is something else, or i is not below n.
    """
    if text is None:
        first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))
        number, count = int(os.environ.get("SLURM_ARRAY_TASK_ID", first)), os.environ.get("SLURM_ARRAY_TASK_COUNT", "1")
        return (number - first) % int(count), int(count)
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ValueError(f"--shard is '{text}'; expected i/n with i from 0 to n - 1, as 0/8")
    return int(number), int(count)


def obey_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, in order."""

    def end(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, end)
