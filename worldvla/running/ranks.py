"""One of the several processes of a stage: its number, how it ends with the others, and who speaks for all."""

import json
import os
import sys
import time
from typing import NoReturn

from worldvla.running.watching import end_with_parent

RANK = "RANK"
LAUNCHER = "STAGE_LAUNCHER"  # the environment's variable that tells a process which one started it here
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # torch's, for what a process says last
# What torch says of another process that is not there any more.
LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe")


def rank() -> int | None:
    """Return the number of this process among those of its stage; None if it is the only one, or starts them."""
    value = os.environ.get(RANK)
    return int(value) if value and value.isdecimal() else None


def end_with_launcher() -> None:
    """Let this process, started by one of this machine, end with it."""
    end_with_parent()
    if os.getppid() != int(os.environ[LAUNCHER]):  # it had ended before that
        os._exit(1)


def let_the_first_speak() -> None:
    """Keep what this process prints to itself if it is not the first: that one speaks for all."""
    if rank():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the process ends


def has_lost_others(error: BaseException) -> bool:
    """Return whether this process, one of several, failed for want of another, which is the one that has something to say."""
    return rank() is not None and isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LOST)


def end(stage: str, sentence: str) -> NoReturn:
    """End this process for a reason: said by what started it, or else by itself."""
    path = os.environ.get(ERROR_FILE)
    if path:
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"message": sentence, "timestamp": int(time.time())}, stream)
    if LAUNCHER in os.environ:
        sys.exit(1)
    sys.exit(f"{stage} (process {rank()}): {sentence}")
