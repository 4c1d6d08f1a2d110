"""Many independent units, done by workers here or on a cluster, each once: the way of every stage that has many.

    with finished_units(Job(folder, begin, arguments, units, noun="demo", suffix=".hdf5", environment={})) as results:
        ...  # join them

Results come in the order of the units, whoever did them and in whatever order. What is there is not done again, whether
this run did it, an earlier one that was interrupted, or a worker of another machine.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from worldvla.running.console import Progress
from worldvla.running.executors import start_workers
from worldvla.running.job import Job
from worldvla.running.leases import DONE, RELEASED, RUNNING, Lease
from worldvla.running.ledger import STAGE, Ledger, Standing, vanishing
from worldvla.running.machine import read_machine
from worldvla.running.unfinished import Clock

POLL_S = 0.2


@contextlib.contextmanager
def finished_units(job: Job) -> Iterator[list[Path]]:
    """Do the units of a job that are not done yet, and yield the files of all results in the order of the units.

    While they are joined, nobody else has this work in hand.

    Raises:
        ValueError: a unit failed for good, no worker is left, or another run has this work in hand.
        OSError: a worker's disk is full.
    """
    machine = read_machine()
    ledger = Ledger(job.folder, (unit.name for unit in job.units), job.suffix)
    ledger.make()
    with _stage_of(ledger) as lease:
        with vanishing(job.folder):
            ledger.begin_again()
            job.write()
            clock = Clock(job.folder)
            with _display(job, ledger) as show:
                while len(results := ledger.verified()) < len(job.units):
                    num_open = len(job.units) - len(results)
                    with contextlib.closing(start_workers(machine, job, ledger, num_open)) as workers:
                        while len((standing := ledger.standing()).done) < len(job.units):
                            show(standing)
                            _check(ledger, standing)
                            workers.tend(standing)
                            clock.note(counts=bool(standing.running))  # not the wait in a cluster's queue
                            time.sleep(POLL_S)
                        clock.note()
            clock.write()
        yield list(results.values())
        lease.end(DONE)


@contextlib.contextmanager
def _stage_of(ledger: Ledger) -> Iterator[Lease]:
    """Hold the stage's own lease.

    Raises:
        ValueError: another run, here or on another machine, has it.
    """
    lease = _take_stage(ledger)
    try:
        yield lease
    finally:
        with contextlib.suppress(OSError):  # the folder may be what failed
            lease.end(RELEASED)  # so that workers that nobody ended see that nobody waits for them


def _take_stage(ledger: Ledger) -> Lease:
    """Take the stage's own lease.

    Raises:
        ValueError: another run, here or on another machine, has it.
    """
    first = None
    while True:
        last = ledger.leases.last().get(STAGE)
        if last is None or last.state != RUNNING or ledger.leases.is_lost(STAGE, last):
            if lease := ledger.leases.take(STAGE, last):
                return lease
            continue
        if last.is_here or (first is not None and last != first):
            raise ValueError(
                f"{ledger.folder}: {last.where} has the same work in hand; expected one run of a stage at a time; wait for "
                "it or end it, then run the same command"
            )
        if first is None:
            print(
                f"{ledger.folder}: waiting up to a minute to see whether {last.where} still works on this", flush=True
            )
            first = last
        time.sleep(1)


def _check(ledger: Ledger, standing: Standing) -> None:
    """Raise if a unit has failed for good."""
    for unit in sorted(standing.attempts):
        if unit not in standing.running and (verdict := ledger.verdict(unit)):
            raise verdict


@contextlib.contextmanager
def _display(job: Job, ledger: Ledger) -> Iterator[Callable[[Standing], None]]:
    """Yield what shows how far a job is."""
    sizes = {unit.name: unit.size for unit in job.units}
    total = sum(sizes.values())
    begun = sum(sizes[unit] for unit in ledger.results())
    with Progress(desc=job.folder.parent.name, unit=job.noun, total=total, initial=begun) as bar:

        def show(standing: Standing) -> None:
            done = sum(sizes[unit] for unit in standing.done)
            partly = sum(min(standing.attempts[unit].progress, sizes[unit]) for unit in standing.running)
            words = f"{len(standing.running)} units running"
            if retried := sum(attempt.number > 1 for attempt in standing.attempts.values()):
                words += f", {retried} again"
            if standing.lost:
                words += f", {len(standing.lost)} lost"
            bar.set_postfix_str(words, refresh=False)
            bar.update(done + partly - bar.n)

        yield show
        bar.update(total - bar.n)
