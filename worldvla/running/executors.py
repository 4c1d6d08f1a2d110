"""Workers of a stage: processes of this machine, or jobs of a SLURM cluster."""

import os
import subprocess
from typing import Protocol

from worldvla.running.job import Job
from worldvla.running.keeper import CANNOT_BEGIN, INTERRUPTED, worker_command
from worldvla.running.ledger import UNABLE, Ledger, Standing
from worldvla.running.machine import Machine

MAX_EARLY_DEATHS = 10  # of workers that had taken no unit yet


class Workers(Protocol):
    """The workers of one job."""

    def tend(self, standing: Standing) -> None:
        """See to it that what is not done will be done; called several times a second.

        Raises:
            ValueError: no worker lives that could do it.
            KeyboardInterrupt: a worker was told to end by a person.
        """
        ...

    def close(self) -> None:
        """End all workers, now."""
        ...


def start_workers(machine: Machine, job: Job, ledger: Ledger, num_open: int) -> Workers:
    """Return the workers that a machine gives to a job of which so many units are open."""
    if machine.workers == 0:
        print(
            f"{job.folder}: {num_open} units wait for workers; start some, here or on any machine that shares this folder: "
            "python -m worldvla.running.worker",
            flush=True,
        )
        return NoWorkers()
    if machine.executor == "slurm":
        from worldvla.running.cluster import ClusterWorkers  # who has no cluster need not wait for its library

        return ClusterWorkers(machine, job, num_open)
    return LocalWorkers(machine, job, ledger, num_open)


class NoWorkers:
    """None of our own: others do the work."""

    def tend(self, standing: Standing) -> None:
        """Wait."""

    def close(self) -> None:
        """Leave the others alone."""


class LocalWorkers:
    """Processes of this machine, which end with this one; one that dies is replaced."""

    def __init__(self, machine: Machine, job: Job, ledger: Ledger, num_open: int) -> None:
        self._job, self._ledger = job, ledger
        self._shares = machine.share(job.asks_model, num_open)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._early_deaths = 0

    def tend(self, standing: Standing) -> None:
        """Start workers, and anew those that died."""
        for number in range(len(self._shares)):
            process = self._processes.get(number)
            if process is None:
                self._processes[number] = self._start(number)
                continue
            code = process.poll()
            if code == INTERRUPTED:
                raise KeyboardInterrupt
            if code:
                self._note_death(process, code)
                del self._processes[number]
            elif code == 0 and standing.lost:  # it had ended before its neighbour died
                del self._processes[number]

    def close(self) -> None:
        """Kill them all: a unit appears whole or not at all."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        environment = os.environ | dict(self._job.environment) | self._shares[number].environment()
        if self._shares[number].gpus:
            environment.pop(
                "MUJOCO_EGL_DEVICE_ID", None
            )  # of a GPU that may not be this worker's: the simulator would end
        command = worker_command(self._job.folder, (number, len(self._shares)))
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def _note_death(self, process: "subprocess.Popen[bytes]", code: int) -> None:
        """Raise if a worker cannot begin, or dies before it does anything: the units' own failures are in the ledger."""
        attempts = [
            one for unit in self._ledger.units for one in self._ledger.leases.of(unit) if one.pid == process.pid
        ]
        if code == CANNOT_BEGIN:
            raise ValueError(next(one.error for one in attempts if one.kind == UNABLE))
        if attempts:
            return
        self._early_deaths += 1
        if code > 0 or self._early_deaths > MAX_EARLY_DEATHS:
            raise ValueError(
                f"{self._job.folder}: a worker ended with exit code {code} before it did anything, see above; mend that, "
                "then run the same command to continue"
            )
