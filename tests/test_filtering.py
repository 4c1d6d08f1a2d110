import contextlib
import dataclasses
import functools
import json
import os
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml
from slider import OPEN, Slider, trajectory
from test_episodes import HEADER, demonstration

import worldvla
from pipeline import filter as filter_stage
from worldvla.data import filter_units, raw
from worldvla.data.episodes import read_episodes_table, read_filtered
from worldvla.files import folder_digest
from worldvla.running.job import Job, Unit
from worldvla.running.units import finished_units
from worldvla.simulation import libero
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.tasks import tasks


def write_sliders(folder, name, pushes):
    """Write a task's raw file: demonstration i makes two pushes of pushes[i], with a no-op between."""
    demonstrations = []
    for push in pushes:
        recorded = demonstration(0, 3)
        recorded.actions[:] = trajectory((push, OPEN), (0, OPEN), (push, OPEN)).actions
        recorded.states[:] = 0
        demonstrations.append(recorded)
    raw.write_raw(raw.task_file(folder, name), HEADER, demonstrations)


FILTER_TASKS = [
    filter_units.FilterTask("goal", task, index, f"{task} it", 16) for index, task in enumerate(["push", "drag"])
]


def slide(part, path, log=None, simulator=Slider):
    if log is not None:
        with log.open("a") as stream:
            stream.write(f"{part.task.name}-{part.names[0]}\n")
    filter_units.replay_all(part, path, lambda: contextlib.nullcontext(simulator(goal=1.0)), lambda count: None)


def replay_sliders(folder, name="out", finish=None):
    """Replay the raw files of a folder, here or as ``finish`` says; return the units, the rows and the folder."""
    parts = filter_units.cut(FILTER_TASKS, folder)
    if finish is None:
        results = [folder / f"{name}-{number}.hdf5" for number in range(len(parts))]
        for part, path in zip(parts, results, strict=True):
            slide(part, path)
    else:
        results = finish(parts)
    out = folder / name
    out.mkdir()
    return parts, filter_units.join_units(parts, results, out), out


@contextlib.contextmanager
def sliders(log):
    """Yield what replays on a slider, in a worker."""

    def work(part, path, advance):
        slide(part, path, log)
        advance(len(part.names))

    yield work


def in_workers(folder, log, parts):
    """Replay in workers, as the stage does."""
    units = tuple(Unit(f"{part.task.name}-{part.names[0]}", part, len(part.names)) for part in parts)
    with finished_units(Job(folder, sliders, (log,), units, noun="demo", suffix=".hdf5", environment={})) as results:
        return results


def test_units_in_any_order_and_in_any_process_give_the_same_bytes(tmp_path, monkeypatch):
    write_sliders(tmp_path, "push", [0.5] * 12 + [0.1])
    write_sliders(tmp_path, "drag", [1.2, 0.6])

    def backwards(parts):
        results = [tmp_path / f"{number}.hdf5" for number in range(len(parts))]
        for part, path in reversed(list(zip(parts, results, strict=True))):
            slide(part, path)
        return results

    _, rows, alone = replay_sliders(tmp_path, "alone", backwards)
    monkeypatch.chdir(tmp_path)
    # Workers find this module, and the same code as is tested here.
    paths = [str(Path(worldvla.__file__).parent.parent), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    (tmp_path / "machine.yaml").write_text("workers: 2")
    log = tmp_path / "log"
    _, _, together = replay_sliders(
        tmp_path, "together", functools.partial(in_workers, tmp_path / "work/filter/x", log)
    )
    assert sorted(log.read_text().split()) == ["drag-demo_0", "push-demo_0", "push-demo_10"]
    for path in alone.iterdir():
        assert path.read_bytes() == (together / path.name).read_bytes(), path.name
    assert rows == read_episodes_table(alone)
    assert [row["demo"] for row in rows] == [f"demo_{i}" for i in range(13)] + ["demo_0", "demo_1"]
    assert [row["kept"] for row in rows] == [True] * 12 + [False, False, True]
    assert rows[13]["reason"] == "succeeded earlier, not at the last step"
    assert (rows[0]["num_raw_steps"], rows[0]["num_noops"], rows[0]["num_steps"]) == (3, 1, 2)
    episodes = list(read_filtered(alone))
    assert [episode.demo for episode in episodes] == [f"demo_{i}" for i in range(12)] + ["demo_1"]
    assert episodes[-1].language == "drag it"
    assert episodes[-1].actions[:, 0].tolist() == [0.6, 0.6]


def run_stage(tmp_path, monkeypatch, simulator):
    """Run the stage on the raw files of two tasks in ``tmp_path`` with fake simulators; return its output."""
    monkeypatch.chdir(tmp_path)
    names = [SimpleNamespace(name=task.name, index=task.index, language=task.language) for task in FILTER_TASKS]
    monkeypatch.setattr(filter_stage, "chosen_tasks", lambda benchmark, suite, indices: [names[i] for i in indices])
    monkeypatch.setattr(libero, "Environment", simulator)
    section = {"benchmark": "mini", "suite": "goal", "tasks": [0, 1], "looks": "simple", "pixels": 16, "seed": 0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"filter": section}))
    filter_stage.main(params=tmp_path / "params.yaml", raw=tmp_path, out=tmp_path / "out")
    return tmp_path / "out"


def test_an_interrupted_filter_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, units_here, capsys):
    built = []

    def simulator(task, **looks):
        built.append(task.name)
        if len(built) == 7:
            raise KeyboardInterrupt
        return contextlib.nullcontext(Slider(goal=1.0))

    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        write_sliders(tmp_path / name, "push", [0.5] * 25)
        write_sliders(tmp_path / name, "drag", [0.5])
    whole = run_stage(tmp_path / "whole", monkeypatch, simulator)
    assert built == ["push"] * 3 + ["drag"]
    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path / "broken", monkeypatch, simulator)
    assert not (tmp_path / "broken/out").exists()
    broken = run_stage(tmp_path / "broken", monkeypatch, simulator)
    assert built[7:] == ["push", "drag"], "two units were done, the third is begun anew"
    assert folder_digest(broken) == folder_digest(whole)
    assert capsys.readouterr().out.count(f"kept 26; {26 * 2} steps kept, 26 no-ops dropped. Next: split") == 2
    assert not list((tmp_path / "broken" / "work" / "filter").iterdir())


def test_a_simulator_that_never_runs_ends_the_stage_and_is_named(tmp_path, monkeypatch, units_here):
    def simulator(task, **looks):
        raise RuntimeError(f"{task.name}: no display")

    write_sliders(tmp_path, "push", [0.5])
    write_sliders(tmp_path, "drag", [0.5])
    with pytest.raises(ValueError, match=r"^'push-demo_0' failed 2 times: RuntimeError: push: no display$"):
        run_stage(tmp_path, monkeypatch, simulator)
    assert not (tmp_path / "out").exists()


def test_a_task_of_which_nothing_is_kept_is_named(tmp_path):
    write_sliders(tmp_path, "push", [0.5])
    write_sliders(tmp_path, "drag", [0.1, 1.2])
    message = (
        r"""drag_demo.hdf5: no demonstration of 'drag' succeeds when it is replayed \(no success at any step 1, succ"""
    )
    with pytest.raises(ValueError, match=message):
        replay_sliders(tmp_path)


def change(path, demo, name, values):
    """Overwrite values of one demonstration in a raw file."""
    with h5py.File(path, "r+") as file:
        array = file[f"data/{demo}/{name}"]
        array[:] = values


def test_one_bad_demonstration_is_one_dropped_demonstration(tmp_path):
    """Whatever is wrong with it, the others give the bytes that they give without it."""
    for folder in (tmp_path / "good", tmp_path / "bad"):
        folder.mkdir()
        write_sliders(folder, "push", [0.5] * 12)
        write_sliders(folder, "drag", [0.5])
    path = raw.task_file(tmp_path / "bad", "push")
    change(path, "demo_3", "states", 1e10)
    change(path, "demo_4", "actions", np.nan)
    change(path, "demo_11", "states", -1e10)  # the last of its unit
    _, good, _ = replay_sliders(tmp_path / "good")
    _, rows, out = replay_sliders(tmp_path / "bad")
    unstable = "breaks the simulator (push step 1: the simulation became unstable)"
    reasons = {row["demo"]: row["reason"] for row in rows if not row["kept"]}
    assert reasons == {"demo_3": unstable, "demo_4": "unusable data (step 0: actions[0] is nan)", "demo_11": unstable}
    assert [row for row in rows if row["kept"]] == [
        row for row in good if row["task"] == "drag" or row["demo"] not in reasons
    ]
    assert [(row["num_raw_steps"], row["num_noops"], row["num_steps"]) for row in rows[3:5]] == [(3, 0, 0), (0, 0, 0)]
    assert filter_units.summary(row["reason"] for row in rows) == f"kept 10, {unstable} 2, {reasons['demo_4']} 1"
    assert (next(read_filtered(out)).frames == next(read_filtered(tmp_path / "good" / "out")).frames).all()


def test_a_simulator_that_fails_on_its_own_scene_too_ends_the_run(tmp_path):
    write_sliders(tmp_path, "push", [0.5])
    (part,) = filter_units.cut(FILTER_TASKS[:1], tmp_path)

    class Broken(Slider):
        def frame(self):
            raise RuntimeError("no picture")

    with pytest.raises(RuntimeError, match="no picture"):
        slide(part, tmp_path / "result.hdf5", simulator=Broken)


def test_absurd_states_of_the_real_simulator_are_dropped_and_the_next_is_replayed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo leaves a log of its warnings
    task = tasks("mini", "goal")[0]
    good = init_states(task)[0]
    absurd = [good.copy() for _ in range(3)]
    absurd[0][1:] = 1e300
    absurd[1][-5:] = 1e8
    absurd[2][1:40] = 1e3
    recorded = demonstration(0, 3)
    demonstrations = [dataclasses.replace(recorded, states=np.tile(state, (3, 1))) for state in (*absurd, good)]
    raw.write_raw(raw.task_file(tmp_path, task.name), HEADER, demonstrations)
    filter_task = filter_units.FilterTask("goal", task.name, 0, task.language, 16)
    (part,) = filter_units.cut([filter_task], tmp_path)
    told = []
    build = functools.partial(Environment, task, pixels=16, seed=0)
    filter_units.replay_all(part, tmp_path / "result.hdf5", build, told.append)
    assert sum(told) == 4
    with h5py.File(tmp_path / "result.hdf5") as file:
        reasons = [verdict["reason"] for verdict in json.loads(file["data"].attrs["verdicts"])]
    assert [reason.startswith("breaks the simulator (") for reason in reasons] == [True, True, True, False]
    assert reasons[3] == "no success at any step"


def test_demonstrations_of_another_scene_are_named(tmp_path, monkeypatch, units_here):
    raw.write_raw(
        raw.task_file(tmp_path, "push"), HEADER, [dataclasses.replace(demonstration(0), states=np.zeros((5, 3)))]
    )
    write_sliders(tmp_path, "drag", [0.5])
    built = []

    def simulator(task, **looks):
        built.append(task.name)
        return contextlib.nullcontext(Slider(goal=1.0))

    with pytest.raises(ValueError, match=r"push_demo.hdf5: demo_0 has states of 3 numbers; the simulator's have 20"):
        run_stage(tmp_path, monkeypatch, simulator)
    assert built.count("push") == 1, "it would come again"
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.glob("work/filter/*/results/*") if "push" in path.name]
