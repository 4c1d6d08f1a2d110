"""Stage download with the published demonstrations, from a hub on this machine."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import REPOSITORY, REVISION, Fault, serve, use
from huggingface_hub import constants

from pipeline.download import main
from worldvla.data.hub import fetching, published
from worldvla.data.raw import RawDemonstration, RawHeader, write_raw
from worldvla.files import file_digest
from worldvla.params.benchmarks import SUITES
from worldvla.simulation.tasks import Task, tasks

TASKS = tasks("libero", "goal")
LAST = f"libero_goal/{TASKS[-1].name}_demo.hdf5"
LOCAL = r"set demonstrations: local and demonstrations_folder in params.yaml to a folder that has the files$"


def write_published(path: Path, task: Task) -> None:
    generator = np.random.default_rng(0)
    header = RawHeader("Problem", "problem", task.language, f"libero_goal/{task.name}.bddl", "(define)", {})
    demonstration = RawDemonstration(
        actions=generator.uniform(-1, 1, (4, 7)),
        states=generator.normal(size=(4, 79)),
        robot_states=np.zeros((4, 9)),
        ee_states=np.zeros((4, 6)),
        gripper_states=np.zeros((4, 2)),
        joint_states=np.zeros((4, 7)),
        model_file="<mujoco/>",
    )
    write_raw(path, header, [demonstration] * 2)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    """The suite's files, by their path in the repository."""
    folder = tmp_path_factory.mktemp("published")
    for task in TASKS:
        write_published(folder / f"libero_goal/{task.name}_demo.hdf5", task)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.hdf5")}


@pytest.fixture
def hub(demonstrations, tmp_path, monkeypatch):
    """A hub that has the suite's files, listed as the published ones are."""
    files = tuple(
        published.File(path, len(content), published_digest(tmp_path, content))
        for path, content in demonstrations.items()
    )
    entry = replace(published.load("demonstrations"), repository=REPOSITORY, revision=REVISION, files=files)
    monkeypatch.setattr(published, "load", {"demonstrations": entry}.__getitem__)
    with serve(demonstrations) as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


def published_digest(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "content").write_bytes(content)
    return file_digest(tmp_path / "content")


def download(tmp_path: Path) -> Path:
    section = {
        "benchmark": "libero",
        "tasks": list(range(10)),
        "suite": "goal",
        "demonstrations": "hub",
        "folder": None,
        "demonstrations_per_task": 50,
        "seed": 0,
        "digests": {},
    }
    params = tmp_path / "goal.yaml"
    params.write_text(yaml.safe_dump({"download": section}))
    out = tmp_path / "raw"
    main(params=params, out=out)
    return out


def test_every_task_of_libero_has_its_file_among_the_published():
    expected = {
        f"{entry.libero_name}/{task.name}_demo.hdf5"
        for suite, entry in SUITES["libero"].items()
        for task in tasks("libero", suite)
    }
    assert {file.path for file in published.load("demonstrations").files} == expected


def test_files_are_linked_into_place_with_a_manifest_of_where_they_came_from(hub, demonstrations, tmp_path, capsys):
    out = download(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    assert sorted(manifest) == sorted(f"{task.name}_demo.hdf5" for task in TASKS)
    store = fetching.snapshot(published.load("demonstrations"))
    for name, entry in manifest.items():
        assert entry == {
            "origin": "hub",
            "repository": REPOSITORY,
            "revision": REVISION,
            "file": f"libero_goal/{name}",
            "sha256": file_digest(out / name),
            "demonstrations": 2,
            "steps": 8,
        }
        assert (out / name).read_bytes() == demonstrations[f"libero_goal/{name}"]
        assert (out / name).samefile(store / "libero_goal" / name)  # no second copy
    printed = capsys.readouterr().out
    assert f"{REPOSITORY}: 10 files to fetch" in printed
    assert "10 tasks, 20 demonstrations, 80 steps (hub). Next: filter" in printed


def test_a_second_time_nothing_is_fetched(hub, tmp_path):
    download(tmp_path)
    asked = hub.num_requests
    download(tmp_path)
    assert hub.num_requests == asked


def test_a_failure_leaves_no_suite_and_says_what_to_do_without_the_hub(hub, tmp_path):
    hub.faults[LAST] = Fault(status=404, headers={"X-Error-Code": "EntryNotFound"})
    with pytest.raises(ValueError, match=rf"^'{LAST}' of {REPOSITORY} at http.*: not there at revision .*{LOCAL}"):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_offline_is_respected(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=rf"0 of 10 files.*and HF_HUB_OFFLINE is set; .*unset it and run.*{LOCAL}"):
        download(tmp_path)
    assert hub.num_requests == 0
