"""Work is continued only by the same code, and what cannot be written says why."""

import os
import pickle
import resource
from pathlib import Path

import pytest
import torch

import worldvla
from worldvla.running.unfinished import checkpoint_file, read_checkpoint, work_folder


def test_work_is_continued_by_the_same_code_only(tmp_path, monkeypatch):
    for package in ("worldvla", "pipeline"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    monkeypatch.setattr(worldvla, "__file__", str(tmp_path / "worldvla/__init__.py"))
    folders = [work_folder("train", "inputs")]
    assert work_folder("train", "inputs") == folders[0]
    for path in ("worldvla/masks.py", "pipeline/train.py"):
        (tmp_path / path).write_text("changed")
        folders.append(work_folder("train", "inputs"))
    assert len(set(folders)) == 3


def save(folder: Path, size: int) -> None:
    with checkpoint_file(folder / "checkpoint.pt") as stream:
        torch.save({"model": torch.zeros(size)}, stream)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    save(tmp_path, 3)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"].tolist() == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_full_disk_is_an_error_of_the_disk(tmp_path, size):
    # Where the file is written until it is whole.
    (tmp_path / f".partial-{os.getpid()}-checkpoint.pt").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save(tmp_path, size)
    assert not list(tmp_path.iterdir())


def test_a_file_that_stops_growing_halfway_is_an_error_of_the_disk(tmp_path):
    """What torch writes last would still fit, so that nothing but its own error is left at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(tmp_path, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_other_errors_of_saving_stay_what_they_are(tmp_path, monkeypatch):
    def fail(content: object, stream: object) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="no such device"):
        save(tmp_path, 1)
    assert not list(tmp_path.iterdir())


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_checkpoint_is_read_if_there_is_one(tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert read_checkpoint(path, read) is None
    save(tmp_path, 3)
    content = read_checkpoint(path, read)
    assert content is not None
    assert content["model"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("harm", ["empty", "cut", "other"])
def test_a_damaged_checkpoint_is_named_and_set_aside(tmp_path, capsys, harm):
    path = tmp_path / "checkpoint.pt"
    save(tmp_path, 1000)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "other": b"no checkpoint at all"}[harm])
    assert read_checkpoint(path, read) is None
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt.damaged"]
    assert (
        f"{path}: cannot be read; expected the checkpoint of an interrupted run; set aside" in capsys.readouterr().out
    )
    path.write_bytes(b"")
    assert read_checkpoint(path, lambda path: pickle.loads(path.read_bytes())) is None
