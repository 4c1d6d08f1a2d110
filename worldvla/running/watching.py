"""How a process ends with what started it: nothing else would tell it that this was killed."""

import ctypes
import multiprocessing
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl's number for: send me this signal when my parent ends


def end_with_parent() -> None:
    """Let the kernel kill this process when the one that started it ends; if that has ended already, end now.

    For a worker, which would wait for work for ever, with 1.7 GB.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it ended before this could be asked for
        os._exit(1)
