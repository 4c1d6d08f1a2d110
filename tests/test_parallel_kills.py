"""What a kill leaves, of the runner, of DVC, of their files; toy stages that end as ours do, under a real DVC."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_parallel import Toy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AT_MOST_S = 4  # two seconds on a machine that does nothing else

# A stage of ours: it says who it is, and goes on until the file of its name may be written. Its main thread sleeps in C.
OURS = """
import ctypes, os, pathlib, time
from worldvla.running import console

def main(*, out: pathlib.Path) -> None:
    events = pathlib.Path("events")
    print("hello from", out.stem, flush=True)
    (events / f"{out.stem}.pid").write_text(str(os.getpid()))
    (events / f"{out.stem}.start").touch()
    while not (events / f"{out.stem}.may").exists():
        ctypes.CDLL(None).usleep(100_000) if (events / "short").exists() else ctypes.CDLL(None).sleep(60)
    out.write_text(out.stem)

console.run(main)
"""


def toy_of_ours(folder: Path, *names: str) -> Toy:
    stages = {
        name: {"cmd": f"python ours.py --out {name}.out", "deps": ["ours.py"], "outs": [f"{name}.out"]}
        for name in names
    }
    toy = Toy(folder, stages)
    (toy.folder / "ours.py").write_text(OURS)
    return toy


def short(toy: Toy) -> None:
    """Let stages sleep for moments only."""
    (toy.folder / "events" / "short").touch()


def dvc_of(runner: subprocess.Popen[str]) -> psutil.Process:
    """Return DVC's process of the one stage that runs."""
    (dvc,) = psutil.Process(runner.pid).children()
    return dvc


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_runner_ends_its_stages_and_the_next_one_goes_on(tmp_path):
    toy = toy_of_ours(tmp_path, "a")
    process = toy.start()
    toy.wait_for(lambda: toy.has_started("a"))
    process.kill()
    process.communicate()
    began = time.monotonic()
    toy.wait_for(lambda: not toy.lives("a"))
    assert time.monotonic() - began < 10
    short(toy)
    (toy.folder / "events" / "a.may").touch()
    code, lines = toy.run()
    assert code == 0, lines
    assert toy.locked() == {"a"}


def test_what_ends_just_before_the_runner_is_killed_is_saved_all_the_same(tmp_path):
    toy = toy_of_ours(tmp_path, "a")
    short(toy)
    process = toy.start()
    toy.wait_for(lambda: toy.has_started("a"))
    dvc = dvc_of(process)
    (toy.folder / "events" / "a.may").touch()
    toy.wait_for(lambda: (toy.folder / "a.out").exists())
    process.kill()
    process.communicate()
    toy.wait_for(lambda: ended(dvc))
    assert toy.locked() == {"a"}
    log = (toy.folder / "work" / "logs" / "a.log").read_text()
    assert "hello from a" in log
    assert "ours: finished" in log


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_runner_ends_everything_within_two_seconds(tmp_path, signum):
    toy = toy_of_ours(tmp_path, "a", "b")
    process = toy.start("-j", "2")
    toy.wait_for(lambda: toy.has_started("a", "b"))
    began = time.monotonic()
    process.send_signal(signum)
    try:
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # what does not end is not left behind; its stages end with it
    assert process.returncode == 128 + signum, printed
    assert time.monotonic() - began < AT_MOST_S
    assert not toy.lives("a")
    assert not toy.lives("b")


def test_a_signal_meets_a_stage_that_was_started_in_the_background_of_a_script(tmp_path):
    toy = toy_of_ours(tmp_path, "a")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell leaves it to what it does not wait for
    try:
        process = toy.start()
    finally:
        signal.signal(signal.SIGINT, before)
    toy.wait_for(lambda: toy.has_started("a"))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    assert toy.lives("a")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not toy.lives("a")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("shell", ["bash", "dash"])  # the latter stays between DVC and the stage
def test_a_stage_ends_with_its_dvc(tmp_path, signum, shell):
    if (shell_path := shutil.which(shell)) is None:
        pytest.skip(f"no {shell} here")
    toy = toy_of_ours(tmp_path, "a")
    process = subprocess.Popen(["dvc", "repro"], cwd=toy.folder, env=toy.env | {"SHELL": shell_path})
    toy.wait_for(lambda: toy.has_started("a"))
    process.send_signal(signum)
    process.wait()
    began = time.monotonic()
    toy.wait_for(lambda: not toy.lives("a"))
    assert time.monotonic() - began < AT_MOST_S


def test_dvc_itself_takes_no_notice_of_ctrl_c_while_a_stage_runs(tmp_path):
    toy = toy_of_ours(tmp_path, "a")
    short(toy)
    process = toy.start()
    toy.wait_for(lambda: toy.has_started("a"))
    dvc_of(process).send_signal(signal.SIGINT)
    time.sleep(0.5)
    (toy.folder / "events" / "a.may").touch()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert toy.locked() == {"a"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a toy whose three stages are saved."""
    toy = toy_of_ours(tmp_path_factory.mktemp("saved"), "a", "b", "c")
    short(toy)
    for name in "abc":
        (toy.folder / "events" / f"{name}.may").touch()
    code, lines = toy.run()
    assert code == 0, lines
    return toy


@pytest.mark.parametrize("keep", [0, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("copy", ["whole", "of two stages", "none"])
def test_a_cut_lock_file_is_put_back_and_nothing_runs_again(saved, keep, copy):
    lock, whole = saved.folder / "dvc.lock", saved.folder / "work" / "dvc.lock.whole"
    text = lock.read_text()
    assert whole.read_text() == text
    lock.write_text(text[: int(keep * len(text))])
    if copy == "none":
        whole.unlink()
    elif copy == "of two stages":
        whole.write_text(text[: text.index("  c:")])
    started = [(saved.folder / "events" / f"{name}.start").stat().st_mtime_ns for name in "abc"]
    code, lines = saved.run()
    assert code == 0, lines
    (line,) = (line for line in lines if "dvc.lock" in line)
    assert line.startswith(
        "parallel: dvc.lock was cut, by a kill while DVC wrote it; it now lies in work/dvc.lock.damaged"
    )
    assert saved.locked() == {"a", "b", "c"}
    assert started == [(saved.folder / "events" / f"{name}.start").stat().st_mtime_ns for name in "abc"]
    assert whole.read_text() == lock.read_text()


@pytest.mark.parametrize("left", ["cut", "a number that another process has got", "of a process that lives no more"])
def test_what_killed_processes_leave_of_their_locks_blocks_nobody(saved, left):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    pid = gone.pid if "no more" in left else os.getpid()
    holder = {"pid": pid, "cmd": "dvc/__main__.py --wait-for-lock repro --single-item a"}
    table = json.dumps(
        {"write": {str(saved.folder / "a.out"): holder}, "read": {str(saved.folder / "b.out"): [holder]}}
    )
    (saved.folder / ".dvc" / "tmp" / "rwlock").write_text(table[:40] if left == "cut" else table)
    (saved.folder / ".dvc" / "tmp" / "lock").write_text(f"{pid}\n")
    (saved.folder / "b.out").unlink()
    code, lines = saved.run()
    assert code == 0, lines
    assert "came from DVC's run cache" in lines[-1]


def test_damaged_tables_of_dvcs_are_named_and_may_be_removed(tmp_path):
    toy = toy_of_ours(tmp_path, "a")
    short(toy)
    (toy.folder / "events" / "a.may").touch()
    assert toy.run()[0] == 0
    for path in (tmp_path / "site_cache").rglob("cache.db*"):
        path.write_bytes(path.read_bytes()[:5000])
    code, (line,) = toy.run()
    assert code == 1
    assert line.startswith(f"parallel: DVC's tables in {tmp_path / 'site_cache'}: ")
    subprocess.run(line.rpartition("run: ")[2], shell=True, check=True)
    code, lines = toy.run()
    assert code == 0, lines
    assert ", 1 were up to date" in lines[-1]
