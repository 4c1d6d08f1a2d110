"""How processes are started whose arithmetic is the same everywhere: those of simulators, among others."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext
from typing import ParamSpec, TypeVar

from worldvla.arithmetic import ENVIRONMENT
from worldvla.running.watching import end_with_parent
from worldvla.simulation.rendering import forget_hidden_gpus

P = ParamSpec("P")
R = TypeVar("R")


def run_elsewhere(what: str, function: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
    """Return what a function returns in a process of its own, with one thread and the arithmetic that is the same everywhere.

    Args:
        what: the process is to do, in words for the message.
        function: can be pickled, as its arguments and what it returns.
        arguments: of the function.
        keywords: likewise.

    Raises:
        ValueError: the process died twice.
        Exception: what the function raises.
    """
    for _ in range(2):  # it may be killed; that it was once says nothing
        with contextlib.suppress(BrokenProcessPool), ProcessPoolExecutor(1, spawn_context(), begin_worker) as pool:
            return pool.submit(function, *arguments, **keywords).result()
    raise ValueError(f"the process that {what} died twice, perhaps out of memory; run the same command to continue")


def spawn_context() -> SpawnContext:
    """Return the context for worker processes, each limited to one thread of its own and the same arithmetic everywhere.

    Spawned, not forked: a simulator keeps GL state that does not survive a fork, and the arithmetic is chosen when a
    process loads numpy.
    """
    os.environ.update(ENVIRONMENT)
    return multiprocessing.get_context("spawn")


def begin_worker() -> None:
    """Begin a pool's worker: Ctrl-C ends it without a traceback of its own, and so does the end of what started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    forget_hidden_gpus()
