"""Workers as jobs of a SLURM cluster, through submitit: one array of long-lived workers, requeued when preempted."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import Checkpointable, clean_env

from worldvla.running.cores import STAGE_CORES
from worldvla.running.job import Job
from worldvla.running.keeper import keep
from worldvla.running.ledger import UNABLE, Standing
from worldvla.running.machine import Machine
from worldvla.running.watching import DVC_STAGE, RUNNER

ASK_EVERY_S = 20.0  # how the jobs are; the ledger says how the units are
MAX_REQUEUES = 100
NOT_THEIRS = (STAGE_CORES, RUNNER, DVC_STAGE)  # variables of the process that submits: a job has its own cores and end


class ClusterWorker(Checkpointable):
    """What a job runs: a worker that gives its unit back when the cluster wants the node, and comes again.

    The worker is a process of its own, whose arithmetic is set before it loads a library. What submitit does when it is told
    of the end, leaving this call, tells it too (``keep``).
    """

    def __init__(self, folder: Path, shard: tuple[int, int]) -> None:
        self.folder, self.shard = folder, shard

    def __call__(self) -> int:
        """Do units until none is left; return the worker's exit code."""
        return keep(self.folder, self.shard)


class ClusterWorkers:
    """The jobs of one stage."""

    def __init__(self, machine: Machine, job: Job, num_open: int, cluster: str = "slurm") -> None:
        """Submit them.

        Args:
            machine: what every job asks for.
            job: whose units they do.
            num_open: units that are not done.
            cluster: ``slurm``, or what else submitit knows; its ``local`` runs the same code on this machine.

        Raises:
            ValueError: the cluster refuses the jobs.
        """
        count, cores = machine.num_workers(job.asks_model, num_open), machine.cores_per_worker or 1
        logs = job.folder / "slurm"
        try:
            executor = submitit.AutoExecutor(logs, cluster=cluster, slurm_max_num_timeout=MAX_REQUEUES)
            executor.update_parameters(
                name=f"worldvla-{job.folder.parent.name}",
                timeout_min=round(machine.hours * 60),
                slurm_cpus_per_task=cores,
                slurm_srun_args=["--cpus-per-task", str(cores)],  # which srun does not take from sbatch
                **_asked(machine, job),
            )
            with clean_env(NOT_THEIRS), executor.batch():
                self._jobs = [executor.submit(ClusterWorker(job.folder, (number, count))) for number in range(count)]
        except (FailedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
            words = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
            raise ValueError(
                f"the cluster did not take {count} workers ({words}); expected sbatch to accept what machine.yaml asks for; "
                "correct it and run the same command"
            ) from None
        self._logs, self._asked_at, self._cluster = logs, time.monotonic(), cluster
        print(f"submitted {count} workers as job {self._jobs[0].job_id.split('_')[0]}; their logs: {logs}", flush=True)

    def tend(self, standing: Standing) -> None:
        """Raise when all jobs have ended and units are left that nobody else does."""
        if standing.running or time.monotonic() - self._asked_at < ASK_EVERY_S:
            return
        self._asked_at = time.monotonic()
        if all(job.done(force_check=True) for job in self._jobs):
            for attempt in standing.attempts.values():
                if attempt.kind == UNABLE:
                    raise ValueError(f"{attempt.where}: {attempt.error}")
            states = ", ".join(sorted({job.state for job in self._jobs}))
            raise ValueError(
                f"all {len(self._jobs)} workers of the cluster have ended ({states}), and not all units are done; see "
                f"{self._logs}, then run the same command, which does the rest"
            )

    def close(self) -> None:
        """Cancel the jobs that still run or wait; do not wait for the cluster, for this process may have a second left."""
        if self._cluster == "slurm":
            array = self._jobs[0].job_id.split("_")[0]
            subprocess.Popen(
                ["scancel", array], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            return
        for job in self._jobs:
            job.cancel(check=False)


def _asked(machine: Machine, job: Job) -> dict[str, Any]:
    """Return what depends on the machine and on what the job does, by submitit's names."""
    asked: dict[str, Any] = {}
    if machine.partition is not None:
        asked["slurm_partition"] = machine.partition
    if machine.memory_gb is not None:
        asked["mem_gb"] = machine.memory_gb
    if job.asks_model and machine.gpus_per_worker != 0:
        asked["gpus_per_node"] = machine.gpus_per_worker or 1
    if machine.slurm:
        asked["slurm_additional_parameters"] = dict(machine.slurm)
    return asked
