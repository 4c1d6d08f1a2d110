"""How many processes to use, and how to start them."""

import multiprocessing
import os
from multiprocessing.context import SpawnContext


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def spawn_context() -> SpawnContext:
    """Return the context for worker processes, each limited to one thread of its own.

    Spawned, not forked: a simulator keeps GL state that does not survive a fork. One thread: two workers with two
    threads each on two cores run ten times slower than with one.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    return multiprocessing.get_context("spawn")
