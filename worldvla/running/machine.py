"""What this machine has: ``machine.yaml``, git-ignored; without it, all of this machine.

Nothing of it is a param: no result depends on it, and no cache key.
"""

import itertools
import os
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from worldvla.params import strict
from worldvla.running.cores import STAGE_CORES, num_cores

MACHINE = Path("machine.yaml")
NUM_CLUSTER_WORKERS = 8
GPU_TOKENS = 16_384  # of a training at a time: from about 8,000 on a GPU's products are as fast as they get


@dataclass(frozen=True)
class Machine:
    """How stages spread their units over workers. What is absent is worked out, or left to the cluster."""

    # local: processes of this machine; slurm: jobs of a cluster, each with as much as is said here.
    executor: Literal["local", "slurm"] = "local"
    # Workers of a stage. By default one per core, or per GPU where units ask a model; 8 on a cluster. 0: none are started,
    # and the stage waits for those that are started by hand: python -m worldvla.running.worker
    workers: int | None = None
    # Of units that ask a model; 1 where there are GPUs.
    gpus_per_worker: int | None = None
    # By default the cores of this machine are shared out; 1 on a cluster.
    cores_per_worker: int | None = None
    # Stages side by side (./run reproduce). By default as many as cores, or one where there are GPUs.
    stages: int | None = None
    # Processes that share a training; by default one per GPU, and one on a CPU. Here and not in params, as is what follows: results
    # are the same to rounding, and what fits is the machine's matter. Those that torchrun or srun starts count themselves.
    training_processes: int | None = None
    # Tokens that go through a model in training at once, in one process; the samples of a step are done in so many goes. By
    # default 16,384 on a GPU, which keeps it busy, and all samples at once on a CPU.
    training_tokens: int | None = None
    # Whether a training computes each layer again for its gradients instead of keeping what it computed: a third more time,
    # for memory. By default on a GPU.
    training_recompute: bool | None = None
    # What ./run plan counts on where this machine has no GPU, as on a login node: a name of worldvla/running/devices.py.
    gpu: str | None = None
    # Whether trainings are also written for TensorBoard, into work/tensorboard; its package is an extra of its own.
    tensorboard: bool = False
    # On a cluster.
    partition: str | None = None
    memory_gb: float | None = None
    hours: float = 24.0
    # More options of sbatch, as they are: {account: vision, qos: long}
    slurm: dict[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = {"workers": 0, "gpus_per_worker": 0, "cores_per_worker": 1, "stages": 1}
        least |= {"training_processes": 1, "training_tokens": 1}
        faults = [
            f"{name} is {value}; expected at least {low}"
            for name, low in least.items()
            if (value := getattr(self, name)) is not None and value < low
        ]
        faults += [
            f"{name} is {value}; expected a number above 0"
            for name in ("memory_gb", "hours")
            if (value := getattr(self, name)) is not None and value <= 0
        ]
        if faults:
            raise ValueError("\n".join(faults))

    def side_by_side(self) -> int:
        """Return how many stages run at a time: where there are GPUs one, which takes them all."""
        return self.stages or (1 if visible_gpus() else num_cores())

    def training(self) -> "TrainingMachine":
        """Return how a training is spread here, the defaults worked out."""
        return self.training_with(len(visible_gpus()))

    def training_with(self, gpus: int) -> "TrainingMachine":
        """Return how a training is spread where there are so many GPUs."""
        recompute = self.training_recompute
        return TrainingMachine(
            self.training_processes or max(1, gpus),
            self.training_tokens or (GPU_TOKENS if gpus else None),
            bool(gpus) if recompute is None else recompute,
        )

    def num_workers(self, asks_model: bool, num_units: int) -> int:
        """Return how many workers some units get, here or on the cluster."""
        if self.executor == "slurm":
            return min(NUM_CLUSTER_WORKERS if self.workers is None else self.workers, num_units)
        return len(self.share(asks_model, num_units))

    def share(self, asks_model: bool, num_units: int) -> list["Share"]:
        """Return what each of the workers gets that do some units on this machine.

        Raises:
            ValueError: the workers want more GPUs than there are.
        """
        gpus = visible_gpus() if asks_model and self.gpus_per_worker != 0 else []
        per_worker = min(self.gpus_per_worker or 1, len(gpus))
        wanted = self.workers if self.workers is not None else len(gpus) // per_worker if gpus else num_cores()
        workers = min(wanted, num_units)
        if workers * per_worker > len(gpus):
            raise ValueError(
                f"{MACHINE}: {workers} workers want {workers * per_worker} GPUs; expected at most {len(gpus)}, which this "
                "process may use; lower workers, or set gpus_per_worker: 0 to compute on the CPU"
            )
        cores = self.cores_per_worker or max(1, num_cores() // max(1, workers))
        mine = [tuple(gpus[number * per_worker :][:per_worker]) for number in range(workers)]
        return [Share(cores, some if asks_model else None) for some in mine]


@dataclass(frozen=True)
class Share:
    """What one worker of this machine gets."""

    cores: int
    gpus: tuple[str, ...] | None  # by their names for CUDA_VISIBLE_DEVICES; None: as this process

    def environment(self) -> dict[str, str]:
        """Return the variables that hold a worker to it."""
        share = {STAGE_CORES: str(self.cores)}
        return share if self.gpus is None else share | {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}


@dataclass(frozen=True)
class TrainingMachine:
    """How a training is spread on this machine; see ``Machine``."""

    processes: int = 1
    tokens: int | None = None
    recompute: bool = False


def read_machine() -> Machine:
    """Return what ``machine.yaml`` says.

    Raises:
        ValueError: it has a name that is not known, or a value out of its range.
    """
    if not MACHINE.is_file() or yaml.safe_load(MACHINE.read_text(encoding="utf-8")) is None:
        return Machine()  # none, or one of comments alone
    return strict.build(Machine, asdict(Machine()) | strict.read_yaml(MACHINE), f"{MACHINE}:")


def visible_gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES chooses among NVIDIA's GPUs that this process may use."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed))]
    # As CUDA reads it: up to the first that is none.
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), chosen.split(",")))
