"""How many processes to use, and how to start them."""

import multiprocessing
import os
import platform
from multiprocessing.context import SpawnContext
from pathlib import Path

# A linear-algebra library chooses its kernels by the machine, and their sums differ in the last bits, from which a
# simulation grows another episode. These kernels run on every x86-64 with AVX2, and none is faster on 7 by 7 matrices.
# What else a machine may choose (numpy's loops, numba's code, llvmpipe's vectors) gives the same bits: tested.
SAME_ARITHMETIC = {"OPENBLAS_CORETYPE": "Haswell"} if platform.machine() in ("x86_64", "AMD64") else {}


CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's: microseconds per so many, or "max"


def num_cores() -> int:
    """Return the number of cores that this process may use, a container's share of them counted."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or no limit
        return cores


def spawn_context() -> SpawnContext:
    """Return the context for worker processes, each limited to one thread of its own and the same arithmetic everywhere.

    Spawned, not forked: a simulator keeps GL state that does not survive a fork, and the arithmetic is chosen when a
    process loads numpy. One thread: two workers with two threads each on two cores run ten times slower than with one.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.update(SAME_ARITHMETIC)
    return multiprocessing.get_context("spawn")
