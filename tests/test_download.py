"""Demonstrations of a folder of the user's are checked and copied; what is wrong with them is said in one sentence."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml

from pipeline.download import main
from worldvla.data.file_names import task_file
from worldvla.data.raw import RawDemonstration, RawHeader, write_raw
from worldvla.files import file_digest
from worldvla.params.recorded import demonstrations_digest
from worldvla.running import forecast
from worldvla.simulation.tasks import tasks

TASKS = tasks("mini", "goal")


def write_demonstrations(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for task in TASKS:
        header = RawHeader("Problem", "problem", task.language, f"mini_goal/{task.name}.bddl", "(define)", {})
        demonstration = RawDemonstration(
            actions=generator.uniform(-1, 1, (4, 7)),
            states=generator.normal(size=(4, 71)),
            robot_states=np.zeros((4, 9)),
            ee_states=np.zeros((4, 6)),
            gripper_states=np.zeros((4, 2)),
            joint_states=np.zeros((4, 7)),
            model_file="<mujoco/>",
        )
        write_raw(task_file(folder, task.name), header, [demonstration] * 10)


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    write_demonstrations(folder)
    return folder


def download(tmp_path: Path, **changes: object) -> Path:
    section = {
        "benchmark": "mini",
        "suite": "goal",
        "tasks": [0, 1, 2, 3],
        "demonstrations": "local",
        "folder": str(tmp_path / "mine"),
        "demonstrations_per_task": 10,
        "seed": 0,
        "digests": {},
    }
    params = tmp_path / "goal.yaml"
    params.write_text(yaml.safe_dump({"download": section | changes}))
    out = tmp_path / "raw"
    main(params=params, out=out)
    return out


def test_files_of_a_folder_are_copied_with_a_manifest(mine, tmp_path, capsys):
    out = download(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(manifest) == [f"{task.name}_demo.hdf5" for task in sorted(TASKS, key=lambda task: task.name)]
    for name, entry in manifest.items():
        digest = file_digest(mine / name)
        assert entry == {"origin": "local", "sha256": digest, "demonstrations": 10, "steps": 40}
        assert file_digest(out / name) == digest
    assert "4 tasks, 40 demonstrations, 160 steps (local). Next: filter" in capsys.readouterr().out


def test_a_missing_task_file_is_named(mine, tmp_path):
    task_file(mine, TASKS[2].name).unlink()
    with pytest.raises(
        ValueError, match=r"mine: 3 of 4 task files; missing 'put_the_milk_in_the_basket_demo.hdf5'; add"
    ):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_truncated_file_is_named(mine, tmp_path):
    path = task_file(mine, TASKS[1].name)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"put_the_can_in_the_tray_demo.hdf5: a truncated HDF5 file"):
        download(tmp_path)


def test_a_file_of_another_task_is_named(mine, tmp_path):
    shutil.copy(task_file(mine, TASKS[0].name), task_file(mine, TASKS[1].name))
    with pytest.raises(
        ValueError, match=r"demonstrations of 'put_the_can_in_the_basket'; expected 'put_the_can_in_the_t"
    ):
        download(tmp_path)


def test_the_suite_s_folder_is_found_in_the_folder_of_all_suites(mine, tmp_path):
    inner = tmp_path / "datasets" / "mini_goal"
    inner.parent.mkdir()
    mine.rename(inner)
    out = download(tmp_path, folder=str(inner.parent))
    assert {path.name for path in out.iterdir()} == {path.name for path in inner.iterdir()} | {"manifest.json"}
    task_file(inner, TASKS[2].name).unlink()
    with pytest.raises(ValueError, match=r"datasets/mini_goal: 3 of 4 task files; missing 'put_the_milk_in_the_basket"):
        download(tmp_path, folder=str(inner.parent))
    shutil.copy(task_file(inner, TASKS[0].name), inner.parent)  # now the folder itself holds the suite's files
    with pytest.raises(ValueError, match=r"datasets: 1 of 4 task files"):
        download(tmp_path, folder=str(inner.parent))


def test_liberos_own_names_of_folders_are_known(tmp_path):
    (tmp_path / "datasets/libero_10").mkdir(parents=True)
    for suite, folder in (("long", "datasets/libero_10"), ("goal", "datasets")):
        with pytest.raises(ValueError, match=rf"{folder}: 0 of 10 task files"):
            download(
                tmp_path, folder=str(tmp_path / "datasets"), benchmark="libero", suite=suite, tasks=list(range(10))
            )


def test_a_folder_that_cannot_be_read_is_named(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(mine))
    with pytest.raises(
        ValueError, match=r"demonstrations_folder '.*mine' cannot be read; expected a readable one; chmod"
    ):
        download(tmp_path)


def test_one_bad_demonstration_is_told_and_is_not_the_end(mine, tmp_path, capsys):
    path = task_file(mine, TASKS[0].name)
    with h5py.File(path, "r+") as file:
        del file["data/demo_1/obs"]
        file["data/demo_2/states"][3, 5] = np.nan
    out = download(tmp_path)
    printed = capsys.readouterr().out
    told = f"  {path}: demo_2 cannot be replayed (step 3: states[5] is nan); the filter will drop it\n"
    assert printed.count("cannot be replayed") == 1
    assert told in printed
    assert json.loads((out / "manifest.json").read_text())[path.name]["steps"] == 36


def test_a_file_of_bad_demonstrations_alone_is_named(mine, tmp_path):
    with h5py.File(task_file(mine, TASKS[0].name), "r+") as file:
        for demo in file["data"].values():
            demo["actions"][:] = np.inf
    with pytest.raises(
        ValueError, match=r"none of 10 demonstrations can be replayed \(demo_0: step 0: actions\[0\] is inf"
    ):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_files_that_changed_since_they_were_recorded_are_refused(mine, tmp_path):
    recorded = demonstrations_digest({path.name: file_digest(path) for path in mine.iterdir()})
    download(tmp_path, digests={"folder": recorded})
    with h5py.File(task_file(mine, TASKS[0].name), "r+") as file:
        file["data/demo_1/actions"][0, 0] = 0.5
    with pytest.raises(
        ValueError, match=r"^demonstrations_folder '.*mine' has changed since resolve \(sha256 .*-f resolve"
    ):
        download(tmp_path, digests={"folder": recorded})
    assert (tmp_path / "raw/manifest.json").is_file()  # the earlier ones


def test_too_few_demonstrations_to_hold_out_are_refused_before_they_are_copied(mine, tmp_path):
    for task in TASKS[1:]:
        with h5py.File(task_file(mine, task.name), "r+") as file:
            del file["data/demo_7"]
    with pytest.raises(
        ValueError,
        match=r"mine: 1 episodes would be held out to be predicted, of 37 demonstrations that can be replayed \(9 of 'put_the_"
        r"can_in_the_tray'\); expected 2 held out at least, one of every ten of a task; add demonstrations$",
    ):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_copies_that_would_fill_the_disk_are_refused(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what stands in the work/ of this checkout would count as room
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match=r"^work/ and data/: 1 MB free; expected about 1 MB; free some space"):
        download(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"demonstrations_folder is '.*mine', no such folder"):
        download(tmp_path)
    with pytest.raises(ValueError, match="demonstrations_folder is empty; name the folder"):
        download(tmp_path, folder=None)
