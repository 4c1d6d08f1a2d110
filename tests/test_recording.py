"""A demonstration that breaks the simulation is left out and named; the others are recorded."""

import pytest

from worldvla.data.raw import demo_names
from worldvla.simulation import recording
from worldvla.simulation.libero import Environment


def test_one_broken_demonstration_is_not_the_end_of_a_recording(tmp_path, monkeypatch, capsys):
    record = recording.record_demonstration
    built = []

    def breaks_once(environment, seed, demo):
        built.append(environment)
        if demo == 1:
            raise RuntimeError("the simulation became unstable")
        return record(environment, seed, demo)

    monkeypatch.setattr(recording, "record_demonstration", breaks_once)
    plan = recording.Recording("mini", "goal", (0,), seed=3, demonstrations_per_task=3)
    unit = recording.Unit(plan, 0, 0, 3, tmp_path / "unit.hdf5")
    count, failures = recording.record_unit(unit)
    recording._forget()
    assert count == 3
    assert failures == ["put_the_can_in_the_basket, demonstration 1: the simulation became unstable"]
    assert demo_names(unit.result) == ["demo_0", "demo_1"]
    assert built[1] is not built[2]  # it broke down: the next has a new one


def test_fixtures_stand_where_the_filter_and_the_rollouts_have_them(monkeypatch):
    seeds = []

    class Noted(Environment):
        def __init__(self, *args, seed, **kwargs):
            seeds.append(seed)
            super().__init__(*args, seed=seed, **kwargs)

    monkeypatch.setattr(recording, "Environment", Noted)
    (task,) = recording.chosen_tasks("mini", "goal", (1,))
    recording._environment(task, 7)
    recording._environment(task, 7)
    recording._forget()
    assert seeds == [7]


@pytest.fixture(autouse=True)
def _no_kept_environment():
    recording._forget()
    yield
    recording._forget()
