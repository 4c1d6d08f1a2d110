"""Functions that several processes of this machine call together, as the ranks of one training (gloo)."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["test_training", "torch.distributed.fsdp", "torch.distributed.checkpoint"])


def together(world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Return what ``function(ranks, *arguments)`` returns in each process, an exception if it raises; one has no group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    queue = CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=_one, args=(rank, world, port, queue, function, arguments), daemon=True)
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    results = dict(queue.get() for _ in processes)
    for process in processes:
        process.join()
    return [results[rank] for rank in range(world)]


def _one(
    rank: int, world: int, port: int, queue: Any, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    import torch

    from worldvla.model.ranks import joined

    torch.set_num_threads(1)
    if world > 1:
        place = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in place.items()})
    try:
        with joined() as ranks:
            queue.put((rank, function(ranks, *arguments)))
    except BaseException as error:
        traceback.print_exc()
        queue.put((rank, error))
