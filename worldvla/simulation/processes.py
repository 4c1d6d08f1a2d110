"""How processes of simulators are started: one thread each, and the same arithmetic on every machine."""

import multiprocessing
import os
import platform
import signal
from multiprocessing.context import SpawnContext

from worldvla.running.watching import end_with_parent

# A linear-algebra library chooses its kernels by the machine, and their sums differ in the last bits, from which a
# simulation grows another episode. These kernels run on every x86-64 with AVX2, and none is faster on 7 by 7 matrices.
# What else a machine may choose (numpy's loops, numba's code, llvmpipe's vectors) gives the same bits: tested.
SAME_ARITHMETIC = {"OPENBLAS_CORETYPE": "Haswell"} if platform.machine() in ("x86_64", "AMD64") else {}


def spawn_context() -> SpawnContext:
    """Return the context for worker processes, each limited to one thread of its own and the same arithmetic everywhere.

    Spawned, not forked: a simulator keeps GL state that does not survive a fork, and the arithmetic is chosen when a
    process loads numpy. One thread: two workers with two threads each on two cores run ten times slower than with one.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.update(SAME_ARITHMETIC)
    return multiprocessing.get_context("spawn")


def begin_worker() -> None:
    """Begin a pool's worker: Ctrl-C ends it without a traceback of its own, and so does the end of what started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
