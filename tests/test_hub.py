"""Published demonstrations: the right files are asked of the hub, checked and copied; what goes wrong is one sentence.

Nothing here touches the network: the hub's function that downloads a file is replaced.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub import constants, errors

from pipeline.download import main
from worldvla.data import hub
from worldvla.data.raw import RawDemonstration, RawHeader, write_raw
from worldvla.files import file_digest
from worldvla.simulation.tasks import Task, tasks

TASKS = tasks("libero", "goal")
LAST = TASKS[-1].name
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
        agentview_rgb=np.zeros((4, 8, 8, 3), np.uint8),
        eye_in_hand_rgb=np.zeros((4, 8, 8, 3), np.uint8),
        model_file="<mujoco/>",
    )
    write_raw(path, header, [demonstration] * 2)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub that has every file of the suite in its cache; returns the cache's folder and what is asked for."""
    folder, asked = tmp_path / "cache", []

    def download(repository: str, file: str, **options: Any) -> str:
        asked.append((repository, file, options["repo_type"], options["revision"]))
        return str(folder / file)

    for task in TASKS:
        write_published(folder / f"libero_goal/{task.name}_demo.hdf5", task)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return folder, asked


def fail_at_last(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the hub fail at the last file of the suite."""
    download: Callable[..., str] = huggingface_hub.hf_hub_download

    def failing(repository: str, file: str, **options: Any) -> str:
        if LAST in file:
            raise error
        return download(repository, file, **options)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", failing)


def response(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "http://hub.invalid/file"))


def download(tmp_path: Path) -> Path:
    section = {
        "benchmark": "libero",
        "tasks": list(range(10)),
        "suite": "goal",
        "demonstrations": "hub",
        "folder": None,
        "demonstrations_per_task": 50,
        "seed": 0,
    }
    params = tmp_path / "goal.yaml"
    params.write_text(yaml.safe_dump({"download": section}))
    out = tmp_path / "raw"
    main(params=params, out=out)
    return out


def test_every_task_s_file_is_asked_for_by_its_published_name_and_revision(cache, tmp_path):
    download(tmp_path)
    assert cache[1] == [
        (hub.REPOSITORY, f"libero_goal/{task.name}_demo.hdf5", "dataset", hub.REVISION) for task in TASKS
    ]
    assert len(cache[1]) == 10
    assert len(hub.REVISION) == 40  # a commit, so that the files cannot change under the manifest


def test_files_are_copied_with_a_manifest_of_where_they_came_from(cache, tmp_path, capsys):
    out = download(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    assert sorted(manifest) == sorted(f"{task.name}_demo.hdf5" for task in TASKS)
    for name, entry in manifest.items():
        published = cache[0] / "libero_goal" / name
        assert entry == {
            "origin": "hub",
            "repository": "yifengzhu-hf/LIBERO-datasets",
            "revision": hub.REVISION,
            "file": f"libero_goal/{name}",
            "sha256": file_digest(published),
            "demonstrations": 2,
            "steps": 8,
        }
        assert file_digest(out / name) == file_digest(published)
    printed = capsys.readouterr().out
    assert f"yifengzhu-hf/LIBERO-datasets: 10 of 10, {LAST}" in printed
    assert "10 tasks, 20 demonstrations, 80 steps (hub). Next: filter" in printed


def test_a_file_that_the_hub_lacks_is_named(cache, tmp_path, monkeypatch):
    fail_at_last(monkeypatch, errors.RemoteEntryNotFoundError("404", response=response(404)))
    with pytest.raises(ValueError, match=rf"^'libero_goal/{LAST}_demo.hdf5' of .*: no such file at revision .*{LOCAL}"):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_revision_that_the_hub_lacks_is_named(cache, tmp_path, monkeypatch):
    fail_at_last(monkeypatch, errors.RevisionNotFoundError("404", response=response(404)))
    with pytest.raises(ValueError, match=rf"has no revision {hub.REVISION}; expected the one that REVISION.*{LOCAL}"):
        download(tmp_path)


def test_a_refusal_says_how_to_log_in(cache, tmp_path, monkeypatch):
    fail_at_last(monkeypatch, errors.RepositoryNotFoundError("401", response=response(401)))
    with pytest.raises(ValueError, match=rf"the hub refuses it \(HTTP 401\); .* log in with: hf auth login.*{LOCAL}"):
        download(tmp_path)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (httpx2.ReadError("connection reset by peer"), "ReadError"),  # in the middle of a file
        (RuntimeError("Task error: File reconstruction error"), "RuntimeError"),  # the same, of hf_xet
        (errors.HfHubHTTPError("503", response=response(503)), "HfHubHTTPError"),
        (errors.LocalEntryNotFoundError("cannot locate the file"), "ConnectError"),  # before it
    ],
)
def test_a_hub_out_of_reach_says_what_is_kept(cache, tmp_path, monkeypatch, error, cause):
    if cause == "ConnectError":
        error.__cause__ = httpx2.ConnectError("no route to host")
    fail_at_last(monkeypatch, error)
    with pytest.raises(ValueError, match=rf"cannot be fetched from the hub \({cause}\); .*keeps what is comp.*{LOCAL}"):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_the_hub_s_own_offline_switch_is_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=rf"not in .*, and HF_HUB_OFFLINE is set; .*unset it and run.*{LOCAL}"):
        download(tmp_path)


def test_a_file_that_is_no_hdf5_is_named_with_what_to_delete(cache, tmp_path):
    path = cache[0] / f"libero_goal/{LAST}_demo.hdf5"
    path.write_text("<html>try again later</html>")
    match = rf"{LAST}_demo.hdf5: not an HDF5 file; expected a whole file in LIBERO's layout; delete {path.resolve()} to"
    with pytest.raises(ValueError, match=match + f".*{LOCAL}"):
        download(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_file_of_another_task_is_named(cache, tmp_path):
    path = cache[0] / f"libero_goal/{LAST}_demo.hdf5"
    path.write_bytes((cache[0] / f"libero_goal/{TASKS[0].name}_demo.hdf5").read_bytes())
    with pytest.raises(ValueError, match=rf"demonstrations of '{TASKS[0].name}'; expected '{LAST}'; delete "):
        download(tmp_path)


def test_a_full_disk_is_left_to_the_console(cache, tmp_path, monkeypatch):
    fail_at_last(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        download(tmp_path)
