"""A stage as a process: ``dvc repro --single-item``, its output line by line, and its end."""

import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from worldvla.running.cores import STAGE_CORES
from worldvla.running.watching import runner_variable

# What DVC says of every stage that runs, and nobody needs to read thirty times.
CHATTER = re.compile(
    r"\s*$|Running stage '|(Generating|Updating) lock file '|To (track the changes|enable auto staging)|\tgit add "
    r"|\tdvc config core.autostage|Use `dvc push` to|Data and pipelines are up to date"
)
# DVC's word for a stage that it did not run after all.
NOT_RUN = {"is cached - skipping run": "came from DVC's run cache", "didn't change, skipping": "were up to date"}
NUM_LINES_AGAIN = 20  # of a failed stage, repeated at the end


class StageProcess:
    """One ``dvc repro --single-item``, in a process group of its own: Ctrl-C reaches it through us, once.

    What it says goes to a file, which we read as it grows: a pipe would break with us, and DVC with it, before it has
    written dvc.lock.

    Args:
        name: the stage.
        num_cores: its share of the cores; None for all of them.
        log: what it says.
        say: shows a line.
    """

    def __init__(self, name: str, num_cores: int | None, log: Path, say: Callable[[str], None]) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        env = os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | runner_variable()
        if num_cores:
            shares = (STAGE_CORES, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            env |= dict.fromkeys(shares, str(num_cores))
        self.name, self.started, self.outcome, self.log = name, time.monotonic(), "ran", log
        self.last_lines: collections.deque[str] = collections.deque(maxlen=NUM_LINES_AGAIN)
        self.told = False  # to end; it need not say more than our last line does
        self._say = say
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)  # one whose runner was killed may still write into it
        # Without --wait-for-lock a stage whose command ends while others are saved for over 3 s would lose its result.
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stream = log.open("rb")
        self._rest = b""  # of a line that is not yet whole

    def read(self, end: bytes = b"") -> None:
        """Show what it has said since the last call, line by line; after the last of all there may be no end."""
        *lines, self._rest = (self._rest + self._stream.read() + end).replace(b"\r", b"\n").split(b"\n")
        for line in (line.decode(errors="replace") for line in lines):
            for words, outcome in NOT_RUN.items():
                if line.startswith("Stage '") and words in line:
                    self.outcome = outcome
            if not CHATTER.match(line) and not self.told:
                self.last_lines.append(f"{self.name} | {line.rstrip()}")
                self._say(self.last_lines[-1])

    def end(self, num_signals: int) -> None:
        """End what the stage runs: ask once; kill it after a second signal, and DVC's process too after a third.

        DVC's own process ends by itself. A signal could meet it while it writes dvc.lock or before it saves a result.
        """
        processes = []
        with contextlib.suppress(psutil.NoSuchProcess):
            processes = psutil.Process(self.process.pid).children(recursive=True)
            if any(process.cmdline() == self.process.args for process in processes):
                processes = []  # not yet what it becomes, it would lose the signal
        for process in processes:
            if num_signals > 1 or not self.told:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL if num_signals > 1 else signal.SIGINT)
        self.told = self.told or bool(processes)
        if num_signals > 2:
            self.kill()

    def kill(self) -> None:
        """Kill the stage, DVC's process and all that they started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Return whether the stage has ended; if so, so has all that it started, and its output is shown."""
        if self.process.poll() is None:
            return False
        self.kill()  # what it may have left behind
        self.read(end=b"\n")
        self._stream.close()
        return True
