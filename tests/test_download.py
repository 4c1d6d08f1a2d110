"""Demonstrations of a folder of the user's are checked and copied; what is wrong with them is said in one sentence."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pipeline.download import main
from worldvla.data.raw import RawDemonstration, RawHeader, task_file, write_raw
from worldvla.files import file_digest
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
            agentview_rgb=np.zeros((4, 8, 8, 3), np.uint8),
            eye_in_hand_rgb=np.zeros((4, 8, 8, 3), np.uint8),
            model_file="<mujoco/>",
        )
        write_raw(task_file(folder, task.name), header, [demonstration] * 3)


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
        "looks": "simple",
        "demonstrations": "local",
        "folder": str(tmp_path / "mine"),
        "demonstrations_per_task": 3,
        "pixels": 32,
        "seed": 0,
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
        assert entry == {"origin": "local", "sha256": digest, "demonstrations": 3, "steps": 12}
        assert file_digest(out / name) == digest
    assert "4 tasks, 12 demonstrations, 48 steps (local). Next: filter" in capsys.readouterr().out


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


def test_a_missing_dataset_and_a_wrong_shape_are_named(mine, tmp_path):
    with h5py.File(task_file(mine, TASKS[0].name), "r+") as file:
        del file["data/demo_1/obs/ee_pos"]
    with pytest.raises(ValueError, match=r"demo_1 lacks the dataset 'obs/ee_pos'"):
        download(tmp_path)
    with h5py.File(task_file(mine, TASKS[0].name), "r+") as file:
        file["data/demo_1/obs/ee_pos"] = np.zeros((3, 3))
    with pytest.raises(ValueError, match=r"demo_1 has 'obs/ee_pos' of shape \(3, 3\); expected \(4, 3\)"):
        download(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"demonstrations_folder is '.*mine', no such folder"):
        download(tmp_path)
    with pytest.raises(ValueError, match="demonstrations_folder is empty; name the folder"):
        download(tmp_path, folder=None)


def test_the_expert_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(ValueError, match="there is no scripted expert for the benchmark 'libero'"):
        download(tmp_path, demonstrations="scripted", benchmark="libero")
