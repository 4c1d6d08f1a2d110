"""How workers end."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

# A pool whose worker says who it is, and then has nothing to do.
POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from worldvla.simulation.processes import begin_worker, spawn_context

if __name__ == "__main__":
    with ProcessPoolExecutor(1, spawn_context(), begin_worker) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_does_not_outlive_what_started_it(tmp_path, signum):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    process.send_signal(signum)
    process.wait()
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)
