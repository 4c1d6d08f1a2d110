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
import sys
import traceback
from pathlib import Path
from time import sleep

from worldvla.files import FULL_DISK
from worldvla.running import environment
from worldvla.running.job import Unit, Work, read_job
from worldvla.running.keeper import CANNOT_BEGIN, keep, obey_sigterm, read_shard, serve
from worldvla.running.leases import DONE, FAILED, RELEASED, Lease
from worldvla.running.ledger import BROKE, FULL, REFUSED, UNABLE, Ledger, vanishing
from worldvla.running.watching import end_with_parent

POLL_S = 0.5  # while others have all units in hand


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
        self._work: Work | None = None
        self._units: dict[str, Unit] = {}

    def run(self) -> None:
        """Do units until none is left that could be done, or nobody waits for them any more."""
        with contextlib.ExitStack() as stack:
            while True:
                standing = self._ledger.standing()
                if len(standing.done) == len(self._order) or standing.stage_is_over:
                    return
                for unit in self._order:
                    if lease := self._ledger.take(unit, standing):
                        self._do(unit, lease, stack)
                        break
                else:
                    if not standing.running:
                        return  # the rest has failed for good
                    sleep(POLL_S)

    def _do(self, unit: str, lease: Lease, stack: contextlib.ExitStack) -> None:
        scratch = self._ledger.scratch(unit)
        try:
            work = self._begun(lease, stack)
            work(self._units[unit].content, scratch, lease.advance)
            self._ledger.keep(unit, scratch)
            lease.end(DONE)
        except ValueError as error:
            scratch.unlink(missing_ok=True)
            lease.end(FAILED, REFUSED, str(error))
        except Exception as error:  # whatever a library may raise: it is tried again, by a worker without its traces
            scratch.unlink(missing_ok=True)
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            if not full:
                traceback.print_exc()
            lease.end(FAILED, FULL if full else BROKE, " ".join(f"{type(error).__name__}: {error}".split()))
            sys.exit(1)
        finally:  # if nothing else was said: this process is asked to end
            lease.end(RELEASED)
            scratch.unlink(missing_ok=True)

    def _begun(self, lease: Lease, stack: contextlib.ExitStack) -> Work:
        """Begin, once. What keeps this worker from it is no fault of the unit: another one may be able to."""
        if self._work is None:
            try:
                begun, self._units = self._job.load()
                self._work = stack.enter_context(begun)
            except ValueError as error:
                lease.end(RELEASED, UNABLE, str(error))
                print(f"worker: {error}", file=sys.stderr, flush=True)
                sys.exit(CANNOT_BEGIN)
        return self._work


def main() -> None:
    """Run a worker, and exit."""
    parser = argparse.ArgumentParser(prog="worker", description="do units of a stage that runs, here or elsewhere")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="of a job, as work/rollout/4f0c; any that is there without it"
    )
    parser.add_argument("--shard", metavar="i/n", help="with which part of the units to begin, from 0/n to (n-1)/n")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)  # end with this process, which replaces what dies
    arguments = parser.parse_args()
    obey_sigterm()  # of a scheduler: the unit is given up in order
    try:
        shard = read_shard(arguments.shard)
        if arguments.folder is None:
            serve(shard)
        elif arguments.parent is None:
            sys.exit(keep(arguments.folder, shard))
        else:
            end_with_parent()
            if os.getppid() != arguments.parent:  # it ended before this could be asked for
                sys.exit(1)
            environment.check()
            with vanishing(arguments.folder):
                Worker(arguments.folder, shard).run()
    except ValueError as error:
        sys.exit(f"worker: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        sys.exit("worker: the disk is full; free some space, and start it again")


if __name__ == "__main__":
    main()
