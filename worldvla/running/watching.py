"""How a process ends with what started it, and within two seconds when it is told to.

Nothing else tells a process that its parent was killed; and Python raises nothing while its main thread is inside a long
call of C. Ending at any moment is safe: outputs and checkpoints appear whole or not at all.
"""

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

RUNNER = "STAGE_RUNNER"  # the environment's variable that tells a stage which process runs it
DVC_STAGE = "DVC_STAGE"  # a variable that DVC sets for what it runs: the stage's name
EVERY_S = 1.0  # how often a stage looks whether they live
GRACE_S = 1.0  # how long a stage that is told to end may take; DVC and the runner take the rest of two seconds
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


def runner_variable() -> dict[str, str]:
    """Return the environment in which stages started by this process end when it has ended, however it did."""
    return {RUNNER: f"{os.getpid()}:{began(os.getpid())}"}


class Watch:
    """What one stage was told, and its last words.

    Args:
        last_words: the sentence of a stage that was told to end; empty: another process says it.
    """

    def __init__(self, last_words: str) -> None:
        self.last_words, self.said = last_words, False
        self.starters = _starters()
        self.told_at: float | None = None

    def say(self) -> None:
        """Say the last words, once. Not through Python's streams: the main thread may hold them."""
        if not self.said:
            self.said = True
            with contextlib.suppress(OSError):
                os.write(2, f"{self.last_words}\n".encode() if self.last_words else b"")

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, once: what it does then is to end."""
        self.told_at = self.told_at or time.monotonic()
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, lambda *_: None)
        raise KeyboardInterrupt

    def watch(self, signals: socket.socket) -> None:
        """Wait for a signal or the end of a starter; a second after either, end the process. The end of ``signals`` ends this."""
        while True:
            wait = EVERY_S if self.told_at is None else max(0.0, self.told_at + GRACE_S - time.monotonic())
            if select.select([signals], [], [], wait)[0]:
                received = signals.recv(64)
                if not received:
                    return
                if self.told_at is None and {signal.SIGINT, signal.SIGTERM} & set(received):
                    self.told_at = time.monotonic()
            elif self.told_at is not None:
                self.say()
                os._exit(128 + signal.SIGINT)
            elif any(began(pid) != began_then for pid, began_then in self.starters.items()):
                self.told_at = time.monotonic()
                os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def watched(last_words: str) -> Iterator[Watch]:
    """Raise KeyboardInterrupt on SIGINT, on SIGTERM and when a starter has ended; end the process if that is not enough.

    Starters are the runner and DVC. A process that a person started ends with nobody, and ignores what it was started to
    ignore (``nohup``, ``&`` in a script).
    """
    watch = Watch(last_words)
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    before = {
        signum: signal.signal(signum, watch.interrupt)
        for signum in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(signum) is not signal.SIG_IGN
    }
    _keep_from_children()
    fd_before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=watch.watch, args=[receiver], daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        # Told to end, it goes on watching: the interpreter's own end may wait for threads and workers.
        if watch.told_at is None:
            signal.set_wakeup_fd(fd_before)
            for signum, handler in before.items():
                signal.signal(signum, handler)
            sender.close()
            thread.join()
            receiver.close()


def _keep_from_children() -> None:
    """Let a forked child's signals be its own: they would reach this process through what the two share."""
    fds: list[int] = []

    def before() -> None:
        with contextlib.suppress(ValueError):  # forked by another thread than the main one, which may not change it
            fds.append(signal.set_wakeup_fd(-1))

    def in_parent() -> None:
        if fds:
            signal.set_wakeup_fd(fds.pop(), warn_on_full_buffer=False)

    def in_child() -> None:
        for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            with contextlib.suppress(ValueError):
                signal.signal(signum, handler)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _starters() -> dict[int, str | None]:
    """Return the processes with which this stage ends, and when they began."""
    found: dict[int, str | None] = {}
    if runner := os.environ.get(RUNNER):
        pid, _, began_then = runner.partition(":")
        found[int(pid)] = began_then
    if DVC_STAGE in os.environ and (dvc := _dvc()):
        found[dvc] = began(dvc)
    return found


def _dvc() -> int | None:
    """Return DVC's process. It need not be the parent: between the two may stand a shell, which outlives it."""
    with contextlib.suppress(psutil.Error):  # one of another user, or of the past
        for process in psutil.Process().parents():
            if DVC_STAGE not in process.environ():
                return process.pid
    return None


def began(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None if it has ended. A pid alone may be given again."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]
