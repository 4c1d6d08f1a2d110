"""Leases of machines that see nothing of each other but a folder."""

import os
import time

import pytest
from test_units import wait_for

from worldvla.running import leases
from worldvla.running.leases import Leases


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Return the attempt of a holder on another machine, and the folder."""
    monkeypatch.setattr(leases, "LOST_AFTER_S", 0.3)
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "_host", lambda: "another machine")
        lease = Leases(tmp_path).take("a", None)
    assert lease is not None
    return Leases(tmp_path), lease


def test_only_one_of_many_gets_a_lease(tmp_path):
    taken = [Leases(tmp_path).take("a", None) for _ in range(5)]
    assert sum(lease is not None for lease in taken) == 1


def test_a_holder_elsewhere_lives_while_its_count_rises_whatever_its_clock_says(elsewhere):
    seen, lease = elsewhere
    for _ in range(8):
        for path in seen.folder.iterdir():
            os.utime(path, (0, 0))
        assert not seen.is_lost("a", seen.last()["a"])
        time.sleep(0.1)
    lease.end(leases.DONE)
    assert not seen.is_lost("a", seen.last()["a"])


def test_a_holder_elsewhere_that_is_not_heard_of_is_lost_and_another_takes_over(elsewhere, monkeypatch):
    seen, lease = elsewhere
    monkeypatch.setattr(lease, "_write", lambda: None)
    wait_for(lambda: seen.is_lost("a", seen.last()["a"]), 3)
    after = seen.take("a", seen.last()["a"])
    assert after is not None
    assert seen.last()["a"].number == 2
    lease.end(leases.DONE)


def test_an_unreadable_lease_is_no_one_s(tmp_path):
    (tmp_path / "a.1").write_text("{")
    seen = Leases(tmp_path)
    assert seen.last()["a"].state == leases.RELEASED
    assert seen.take("a", seen.last()["a"]) is not None
