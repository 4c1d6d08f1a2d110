"""A worker: takes units of a job, one after the other, until none is left.

    python -m worldvla.running.worker [work/<stage>/<digest>] [--shard i/n]

Any number of them, on any machines that share the project's folder, at any time, at the same commit. Without a folder it
does whatever stages have written there, and ends when there has been nothing for ten minutes. ``--shard 2/8`` says with
which part of the units to begin, so that workers meet seldom; it takes those of others, too, when its own are done. In a
job array of SLURM it follows from the task's number.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from worldvla.files import FULL_DISK
from worldvla.running import environment
from worldvla.running.job import Unit, Work, read_job
from worldvla.running.leases import DONE, FAILED, RELEASED, RUNNING, Lease
from worldvla.running.ledger import BROKE, FULL, REFUSED, STAGE, Ledger, vanishing
from worldvla.running.watching import end_with_parent

POLL_S = 0.5  # while others have all units in hand
IDLE_S = 600.0  # without any work, until a worker that serves any job ends


class Worker:
    """Does units of one job."""

    def __init__(self, folder: Path, shard: tuple[int, int]) -> None:
        """Take the job's folder, and which of how many workers this is (from 0).

        Raises:
            ValueError: there is no job, or this worker's code is not that of the stage.
        """
        self._job = read_job(folder)
        self._job.check_code()
        self._ledger = Ledger(folder, self._job.units, self._job.suffix)
        start = len(self._job.units) * shard[0] // shard[1]
        self._order = (*self._job.units[start:], *self._job.units[:start])
        self._lease: Lease | None = None
        self._work: Work | None = None
        self._units: dict[str, Unit] = {}

    def run(self) -> bool:
        """Do units until none is left that could be done; return whether all are done."""
        with contextlib.ExitStack() as stack:
            while True:
                standing = self._ledger.standing()
                if len(standing.done) == len(self._order):
                    return True
                for unit in self._order:
                    self._lease = self._ledger.take(unit, standing)
                    if self._lease is not None:
                        self._do(unit, self._lease, stack)
                        break
                else:
                    if not standing.running or self._stage_is_over():
                        return False  # the rest has failed for good, or nobody waits for it
                    time.sleep(POLL_S)

    def give_up(self) -> None:
        """Let somebody else do the unit in hand."""
        if self._lease is not None:
            self._lease.end(RELEASED)

    def _do(self, unit: str, lease: Lease, stack: contextlib.ExitStack) -> None:
        scratch = self._ledger.scratch(unit)
        try:
            if self._work is None:
                begun, self._units = self._job.load()
                self._work = stack.enter_context(begun)
            self._work(self._units[unit].content, scratch, lease.advance)
            self._ledger.keep(unit, scratch)
            lease.end(DONE)
        except ValueError as error:
            lease.end(FAILED, REFUSED, str(error))
        except Exception as error:  # whatever a library may raise: it is tried again, by a worker without its traces
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            words = " ".join(f"{type(error).__name__}: {error}".split())
            traceback.print_exc()
            lease.end(FAILED, FULL if full else BROKE, words)
            sys.exit(1)
        finally:
            lease.end(RELEASED)  # if nothing else was said: this process is asked to end
            scratch.unlink(missing_ok=True)

    def _stage_is_over(self) -> bool:
        """Return whether the stage has ended in order. If it was killed, what it asked for is still wanted."""
        last = self._ledger.leases.last().get(STAGE)
        return last is None or last.state != RUNNING


def serve(folder: Path | None, shard: tuple[int, int]) -> None:
    """Do the units of a job, or of any job until there has been none for ten minutes."""
    if folder is not None:
        with vanishing(folder):
            Worker(folder, shard).run()
        return
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < IDLE_S:
        for job in open_jobs():
            print(f"worker: units of {job}", flush=True)
            with vanishing(job):
                Worker(job, shard).run()
            idle_since = time.monotonic()
        time.sleep(POLL_S)
    print(f"worker: no work for {IDLE_S / 60:.0f} minutes; ended. Start it again when a stage runs.")


def open_jobs() -> Iterator[Path]:
    """Yield the folders of jobs whose stage waits for units that nobody has in hand."""
    for path in sorted(Path("work").glob("*/*/job.json")):
        with contextlib.suppress(ValueError, OSError):  # it was deleted meanwhile
            job = read_job(path.parent)
            ledger = Ledger(path.parent, job.units, job.suffix)
            standing = ledger.standing()
            stage = ledger.leases.last().get(STAGE)
            if stage is None or stage.state != RUNNING or ledger.leases.is_lost(STAGE, stage):
                continue
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


def main() -> None:
    """Run a worker, and exit."""
    parser = argparse.ArgumentParser(prog="worker", description="do units of a stage that runs, here or elsewhere")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="of a job, as work/rollout/4f0c; any that is there without it"
    )
    parser.add_argument("--shard", metavar="i/n", help="with which part of the units to begin, from 0/n to (n-1)/n")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)  # end with this process
    arguments = parser.parse_args()
    if arguments.parent is not None:
        end_with_parent()
        if os.getppid() != arguments.parent:  # it ended before this could be asked for
            sys.exit(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # of a scheduler: it gives the unit up in order
    try:
        environment.check()
        serve(arguments.folder, read_shard(arguments.shard))
    except ValueError as error:
        sys.exit(f"worker: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
