"""Signals to the runner of the stages, with toy stages under a real DVC."""

import signal
import time

import pytest
from test_parallel import Toy, stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stages_and_leaves_no_process_behind(tmp_path, signum):
    toy = Toy(tmp_path, {"early": stage("early"), **{name: stage(name, "never", deps=("early",)) for name in "ab"}})
    process = toy.start("-j", "2")
    toy.wait_for(lambda: toy.has_started("a", "b"))
    process.send_signal(signum)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert printed.splitlines()[-1] == (
        "parallel: interrupted; 1 of 3 stages are done. Run the same command to continue."
    )
    for name in "ab":
        assert toy.event(f"{name}.interrupts") == "once "
        assert not toy.lives(name)
    assert toy.locked() == {"early"}


def test_a_second_signal_kills_what_does_not_end(tmp_path):
    toy = Toy(tmp_path, {"a": stage("a", "deaf")})
    process = toy.start()
    toy.wait_for(lambda: toy.has_started("a"))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    assert toy.lives("a")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not toy.lives("a")


def test_under_nohup_a_run_outlives_its_terminal(tmp_path):
    toy = Toy(tmp_path, {"a": stage("a", "never")})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to what it starts
    try:
        process = toy.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    toy.wait_for(lambda: toy.has_started("a"))
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    assert toy.lives("a")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert not toy.lives("a")
