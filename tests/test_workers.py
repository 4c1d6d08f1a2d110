"""How many cores there are to use, and how workers end."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from worldvla import workers


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        (None, 8),
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 8),
    ],
)
def test_a_containers_share_counts(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(workers, "CPU_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert workers.num_cores() == cores


# A pool whose worker says who it is, and then has nothing to do.
POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from worldvla.workers import begin_worker, spawn_context

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
