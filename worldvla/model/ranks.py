"""The processes that share a training: who is who, and what they tell each other."""

import contextlib
import datetime
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from worldvla.model import placement

# How long a process waits for the others: before the first step, where weights are read, and between steps, where it is
# a process that died. On one machine whoever started them all notices at once.
BEFORE_S, BETWEEN_S, FETCHING_S = 1800, 60, 7 * 24 * 3600

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that share a training; alone by default, which needs no process group.

    Attributes:
        rank: number of this process, from 0.
        world: how many there are.
        machines: on how many machines.
        mesh: all of them; None if this one is alone.
        beside: a group of their CPUs, for what is written beside the training.
    """

    rank: int = 0
    world: int = 1
    machines: int = 1
    mesh: DeviceMesh | None = None
    beside: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """Return the sums of all processes' values."""
        if self.mesh is not None:
            dist.all_reduce(values)
        return values

    def most(self, value: int) -> int:
        """Return the largest of all processes' values."""
        if self.mesh is None:
            return value
        values = torch.tensor(value)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return int(values)

    def told(self, value: Result) -> Result:
        """Return what the first process has here; anything that can be pickled."""
        if self.mesh is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def check_same(self, things: Mapping[str, Any]) -> None:
        """Refuse processes that were started with other params, code or data than the first one.

        Args:
            things: what decides the result, by a name for people.

        Raises:
            ValueError: on all processes alike, the first difference.
        """
        if self.mesh is None:
            return
        everywhere: list[Any] = [None] * self.world
        dist.all_gather_object(everywhere, (socket.gethostname(), dict(things)))
        for name in things:
            for rank, (host, theirs) in enumerate(everywhere):
                if theirs[name] != everywhere[0][1][name]:
                    raise ValueError(
                        f"process {rank} of {self.world} on {host} has other {name} than process 0 on {everywhere[0][0]}; expected the "
                        "same everywhere, as all train one model; check out one commit, on a disk that all see, and start them again"
                    )

    def end_start(self) -> None:
        """From now on wait a minute only."""
        if self.mesh is not None:
            dist.set_timeout(datetime.timedelta(seconds=BETWEEN_S))


ALONE = Ranks()


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that the environment tells of (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR), until the block ends.

    Without them this process is alone.

    Raises:
        ValueError: more processes than GPUs on this machine, or one of the variables is missing.
    """
    if "RANK" not in os.environ:
        yield ALONE
        return
    try:
        rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        local_world = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"RANK is set, but not all of WORLD_SIZE and LOCAL_RANK are numbers ({error}); expected all as torchrun sets them; start this "
            "with torchrun, or unset RANK"
        ) from None
    device = placement.device()
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {rank}: LOCAL_RANK is {local}, but {torch.cuda.device_count()} GPUs are visible; expected one for every process; "
                "lower training_processes in machine.yaml"
            )
        torch.cuda.set_device(local)
    timeout = datetime.timedelta(seconds=BEFORE_S)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        mesh = init_device_mesh(device.type, (world,))
        beside = dist.new_group(backend="gloo", timeout=timeout)
        assert isinstance(beside, dist.ProcessGroup), "every process is a member"
        yield Ranks(rank, world, -(-world // local_world), mesh, beside)
    finally:
        dist.destroy_process_group()


def one_after_another(ranks: Ranks, fetch: Callable[[], Result]) -> Result:
    """Return what ``fetch`` does: on every machine its first process alone, which may take hours, then the others."""
    if ranks.mesh is None:
        return fetch()
    store = dist.distributed_c10d._get_default_store()
    key = f"fetched on {socket.gethostname()}"
    if os.environ["LOCAL_RANK"] != "0":
        store.wait([key], datetime.timedelta(seconds=FETCHING_S))
        return fetch()
    result = fetch()
    store.set(key, "")
    return result
