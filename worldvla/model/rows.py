"""Which rows of a weight this process holds: all of them, unless processes share the model (`sharding`)."""

from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def _is_shared(parameter: Tensor) -> "TypeGuard[DTensor]":
    """Return whether processes share a weight; a model that is only asked is spared half a second of torch's imports."""
    return hasattr(parameter, "device_mesh")


def own(parameter: Tensor) -> Tensor:
    """Return what this process holds of a weight; all of it if it is not shared."""
    return parameter.to_local() if _is_shared(parameter) else parameter


def own_rows(parameter: Tensor) -> range:
    """Return which rows of a weight this process holds."""
    if not _is_shared(parameter):
        return range(len(parameter))
    # As torch.chunk cuts: the last processes may have fewer, or none.
    size = -(-len(parameter) // parameter.device_mesh.size())
    first = min(len(parameter), parameter.device_mesh.get_local_rank() * size)
    rows = range(first, min(len(parameter), first + size))
    assert len(rows) == len(own(parameter)), "weights are spread by their rows"
    return rows


@torch.no_grad()
def fill(parameter: Tensor, value: Tensor, first: int = 0) -> None:
    """Set the rows of a weight from ``first`` on, each process its own of them; ``value`` has all of them."""
    rows = own_rows(parameter)
    start, stop = max(first, rows.start), min(first + len(value), rows.stop)
    if start < stop:
        own(parameter)[start - rows.start : stop - rows.start] = value[start - first : stop - first].to(
            parameter.device
        )
