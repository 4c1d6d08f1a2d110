"""Recording in units: the same bytes however they are spread, after interruptions, and with demonstrations that break."""

import sys
from pathlib import Path

import h5py
import pytest
import yaml

import worldvla
from pipeline import download
from worldvla.data.raw import demo_names, task_file, validate_raw
from worldvla.files import file_digest, folder_digest
from worldvla.simulation import recording
from worldvla.simulation.libero import Environment
from worldvla.simulation.tasks import tasks

TASKS = tasks("mini", "goal")


def plan(seed: int = 3, count: int = 3) -> recording.Recording:
    return recording.Recording("mini", "goal", (0,), seed=seed, demonstrations_per_task=count)


def record(folder: Path, recorder: recording.Recorder, *ranges: tuple[int, int]) -> Path:
    """Record demonstrations of the first task in units, and return their joined file."""
    parts = []
    for start, stop in ranges:
        parts.append(folder / f"{start}.hdf5")
        recorder.record(recording.Demos(0, start, stop), parts[-1], lambda count: None)
    recording.join(folder / "joined.hdf5", parts)
    return folder / "joined.hdf5"


def test_one_broken_demonstration_is_not_the_end_of_a_recording(tmp_path, monkeypatch):
    original = recording.record_demonstration
    built = []

    def breaks_once(environment, seed, demo):
        built.append(environment)
        if demo == 1:
            raise RuntimeError("the simulation became unstable")
        return original(environment, seed, demo)

    monkeypatch.setattr(recording, "record_demonstration", breaks_once)
    told = []
    recorder = recording.Recorder(plan())
    recorder.record(recording.Demos(0, 0, 3), tmp_path / "unit.hdf5", told.append)
    recorder.close()
    assert told == [1, 1, 1]
    joined = tmp_path / "joined.hdf5"
    assert recording.join(joined, [tmp_path / "unit.hdf5"]) == [
        "put_the_can_in_the_basket, demonstration 1: the simulation became unstable"
    ]
    assert demo_names(joined) == ["demo_0", "demo_1"]
    assert built[1] is not built[2]  # it broke down: the next has a new one


def test_fixtures_stand_where_the_filter_and_the_rollouts_have_them_and_are_built_once(tmp_path, monkeypatch):
    seeds = []

    class Noted(Environment):
        def __init__(self, *args, seed, **kwargs):
            seeds.append(seed)
            super().__init__(*args, seed=seed, **kwargs)

    monkeypatch.setattr(recording, "Environment", Noted)
    recorder = recording.Recorder(plan(seed=7))
    record(tmp_path, recorder, (0, 1), (1, 2))
    recorder.close()
    assert seeds == [7]


def test_a_demonstration_does_not_depend_on_what_is_recorded_before_it(tmp_path):
    for name in ("apart", "together"):
        (tmp_path / name).mkdir()
    first, second = recording.Recorder(plan()), recording.Recorder(plan())
    apart = record(tmp_path / "apart", first, (0, 1), (1, 2))
    first.close()
    together = record(tmp_path / "together", second, (0, 2))
    second.close()
    assert file_digest(apart) == file_digest(together)


def download_scripted(folder: Path, tasks: tuple[int, ...], count: int) -> Path:
    section = {"benchmark": "mini", "suite": "goal", "tasks": list(tasks), "demonstrations": "scripted", "folder": None}
    section |= {"demonstrations_per_task": count, "seed": 3, "digests": {}}
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump({"download": section}))
    download.main(params=folder / "params.yaml", out=folder / "raw")
    return folder / "raw"


def test_an_interrupted_recording_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, units_here, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recording, "DEMOS_PER_UNIT", 1)
    original = recording.record_demonstration
    begun = []

    def interrupted(environment, seed, demo):
        begun.append(demo)
        if len(begun) == 5:
            raise KeyboardInterrupt
        if demo == 1:
            raise RuntimeError("the simulation became unstable")
        return original(environment, seed, demo)

    monkeypatch.setattr(recording, "record_demonstration", interrupted)
    whole = download_scripted(tmp_path / "whole", (0,), 3)
    assert begun == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        download_scripted(tmp_path / "broken", (0,), 3)
    assert not (tmp_path / "broken/raw").exists()
    broken = download_scripted(tmp_path / "broken", (0,), 3)
    assert begun == [0, 1, 2, 0, 1, 1, 2], "the first was done, the second is begun anew"
    assert folder_digest(broken) == folder_digest(whole)
    told = "  not recorded: put_the_can_in_the_basket, demonstration 1: the simulation became unstable"
    assert capsys.readouterr().out.count(told) == 2
    assert not list(Path("work/download").iterdir())


def test_a_recording_does_not_depend_on_the_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(worldvla.__file__).parent.parent))
    digests = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        monkeypatch.chdir(folder)
        Path("machine.yaml").write_text(f"workers: {workers}")
        digests.append(folder_digest(download_scripted(folder, (0, 1), 2)))
    assert digests[0] == digests[1]


def test_a_recording_says_what_it_is_of_and_nothing_of_this_machine(tmp_path, monkeypatch, units_here):
    monkeypatch.chdir(tmp_path)
    path = task_file(download_scripted(tmp_path, (0,), 2), TASKS[0].name)
    num_demos, num_steps = validate_raw(path, TASKS[0].name, TASKS[0].language)
    assert num_demos == 2
    with h5py.File(path) as file:
        assert num_steps == sum(len(file[f"data/demo_{number}/actions"]) for number in range(2))
        assert file["data"].attrs["bddl_file_name"] == "mini_goal/put_the_can_in_the_basket.bddl"
        assert str(Path(sys.prefix)) not in file["data/demo_1"].attrs["model_file"]
