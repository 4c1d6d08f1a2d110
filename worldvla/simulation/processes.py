"""How processes of simulators are started."""

import multiprocessing
import os
import signal
from multiprocessing.context import SpawnContext

from worldvla.arithmetic import ENVIRONMENT
from worldvla.running.watching import end_with_parent
from worldvla.simulation.rendering import forget_hidden_gpus


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
