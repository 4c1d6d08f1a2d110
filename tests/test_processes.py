"""How workers and simulators' processes end: with what started them, however that ends."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import psutil
import pytest

import worldvla
from worldvla.simulation import libero, processes
from worldvla.simulation.tasks import Task

# A pool whose worker has nothing to do.
POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from worldvla.simulation.processes import begin_worker, spawn_context

if __name__ == "__main__":
    with ProcessPoolExecutor(1, spawn_context(), begin_worker) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""

# Simulators in a process of their own, one of which is being built.
LANES = """
import os, time
import numpy as np
from worldvla.simulation.lanes import Call, Episode, LanePool

def build(task):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    with LanePool(build, 1) as pool:
        pool.execute({0: Call(Episode(None, 0, np.zeros(1)))})
"""

# A stage whose worker does a unit.
STAGE = """
import contextlib, os, time
from pathlib import Path
from worldvla.running.job import Job, Unit
from worldvla.running.units import finished_units

@contextlib.contextmanager
def sleepers():
    def sleep(content, path, advance):
        print(os.getpid(), flush=True)
        time.sleep(60)
    yield sleep

if __name__ == "__main__":
    job = Job(Path("work/x/y"), sleepers, (), (Unit("a", None),), noun="nap", suffix=".txt", environment={})
    with finished_units(job):
        pass
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("content", [POOL, LANES, STAGE], ids=["pool", "lanes", "stage"])
def test_a_worker_does_not_outlive_what_started_it(tmp_path, content, signum):
    (tmp_path / "script.py").write_text(content)
    paths = [str(Path(worldvla.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-m", "script"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    assert worker.pid != process.pid
    process.send_signal(signum)
    process.wait()
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)


@pytest.mark.parametrize("deaths", [1, 2])
def test_the_process_that_draws_initial_states_may_die_once(tmp_path, monkeypatch, deaths):
    drawn = []

    class Pool:
        """A pool whose process dies so many times."""

        def __init__(self, *_):
            drawn.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, task, path):
            result = Future()
            if len(drawn) <= deaths:
                result.set_exception(BrokenProcessPool("terminated abruptly"))
            else:
                result.set_result(np.save(path, np.zeros((50, 3))))
            return result

    monkeypatch.setattr(processes, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(libero.mini_assets, "folder", lambda: tmp_path)
    (tmp_path / "init_states/goal").mkdir(parents=True)
    task = Task("mini", "goal", 0, "put_it", "put it", Path("put_it.bddl"))
    if deaths == 1:
        assert libero.init_states(task).shape == (50, 3)
    else:
        with pytest.raises(ValueError, match=r"^the process that draws the initial states of 'put_it' died twice"):
            libero.init_states(task)
