"""How soon a stage ends that is told to, whatever it does, and what it is not told."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import resource_tracker

import pytest

# What a stage may be doing when it is told to end.
DOING = {
    "python": "time.sleep(60)",
    "c": "ctypes.CDLL(None).sleep(60)",
    "deaf": """
    while True:
        try: time.sleep(60)
        except KeyboardInterrupt: pass
""",
    "pool": """
    with ProcessPoolExecutor(2, spawn_context(), begin_worker) as pool:
        list(pool.map(time.sleep, [60, 60, 60]))
""",
    "fails": """
    try: time.sleep(60)
    except KeyboardInterrupt: raise RuntimeError("a worker is gone")
""",
    "fork": """
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[60])
    child.start()
    time.sleep(0.5)  # before its first moments are over, Python itself loses a signal
    child.terminate()
    child.join()
    time.sleep(2)
""",
    "thread": "threading.Thread(target=time.sleep, args=[60]).start()",
}
STAGE = """
import ctypes, multiprocessing, threading, time
from concurrent.futures import ProcessPoolExecutor
from worldvla.running import console
from worldvla.simulation.processes import begin_worker, spawn_context

def main() -> None:
    print("begun", flush=True)
    {doing}

if __name__ == "__main__":
    console.run(main)
"""
LAST_WORDS = "stage: interrupted; no output is half-written. Run the same command to continue.\n"


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a stage, once it has begun."""
    begun = []

    def started(doing: str, ignored: signal.Signals | None = None, **variables: str) -> subprocess.Popen[str]:
        (tmp_path / "stage.py").write_text(STAGE.format(doing=DOING[doing]))
        env = {key: value for key, value in os.environ.items() if key not in ("STAGE_RUNNER", "DVC_STAGE")} | variables
        before = signal.signal(ignored, signal.SIG_IGN) if ignored else None
        try:
            process = subprocess.Popen(
                [sys.executable, tmp_path / "stage.py"],
                env=env,
                stdout=-1,
                stderr=-1,
                text=True,
                start_new_session=True,
            )
        finally:
            if ignored:
                signal.signal(ignored, before)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(1 if doing == "pool" else 0.2)
        return process

    yield started
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("doing", ["python", "c", "deaf", "pool", "fails"])
def test_a_signal_to_a_stage_alone_ends_it_within_two_seconds(start, doing, signum):
    process, began = start(doing), time.monotonic()
    process.send_signal(signum)
    process.wait(timeout=60)
    assert time.monotonic() - began < 3  # two seconds on a machine that does nothing else
    assert process.returncode == 130
    assert process.stderr is not None
    said = process.stderr.read()
    # A pool's semaphores are cleaned up behind it by a process of Python's own, which says so.
    assert said == LAST_WORDS or (doing == "pool" and said.startswith(f"{LAST_WORDS}{resource_tracker.__file__}:"))


def test_a_stage_that_is_told_nothing_is_not_ended(start):
    process = start("thread")  # its main thread has ended, and the interpreter waits
    time.sleep(2)
    assert process.poll() is None


def test_a_signal_to_a_forked_child_is_not_its_parents(start):
    process = start("fork")
    assert process.wait(timeout=60) == 0


def test_a_person_may_let_a_stage_ignore_ctrl_c(start):
    process = start("c", ignored=signal.SIGINT)
    process.send_signal(signal.SIGINT)
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130


@pytest.mark.parametrize("lives", [True, False])
def test_a_stage_ends_with_the_runner_that_started_it(start, lives):
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from worldvla.running.watching import runner_variable as v; import time\nprint(v()['STAGE_RUNNER'], flush=True); time.sleep(60)",
        ],
        stdout=-1,
        text=True,
    )
    assert runner.stdout is not None
    process = start("c", STAGE_RUNNER=runner.stdout.readline().strip())
    if not lives:
        runner.kill()  # and not waited for: until somebody does, its number is taken
        assert process.wait(timeout=10) == 130
    else:
        time.sleep(2)
        assert process.poll() is None
    runner.kill()
    runner.communicate()


def test_a_runner_whose_number_another_process_has_got_is_gone(start):
    process = start("python", STAGE_RUNNER=f"{os.getpid()}:1")
    assert process.wait(timeout=10) == 130


# Starts what it is given, as DVC would if there is a first argument, until it is killed.
STARTER = """
import os, subprocess, sys, time
subprocess.Popen(sys.argv[2:], env=os.environ | ({"DVC_STAGE": sys.argv[1]} if sys.argv[1] else {}))
time.sleep(60)
"""


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("under_dvc", [True, False])
def test_a_stage_ends_with_dvc_but_not_with_a_persons_shell(tmp_path, under_dvc, stays):
    script = tmp_path / "stage.py"
    script.write_text(
        STAGE.format(doing="(__import__('pathlib').Path(__file__).parent / 'begun').touch(); time.sleep(6)")
    )
    env = {key: value for key, value in os.environ.items() if key not in ("STAGE_RUNNER", "DVC_STAGE")}
    stage = f"{sys.executable} {script}"
    shell = subprocess.Popen(
        # Whether a shell becomes what it runs or stays, depends on the shell and on what else it has to do.
        [sys.executable, "-c", STARTER, "stage" if under_dvc else "", "sh", "-c", f"{stage}; :" if stays else stage],
        env=env,
        stdout=-1,
        stderr=-1,
        text=True,
    )
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    shell.kill()
    printed, said = shell.communicate(timeout=60)  # until the stage, too, has closed them
    assert (said == LAST_WORDS) == under_dvc
    assert ("finished" in printed) != under_dvc
