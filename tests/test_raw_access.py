"""Raw files whose data is elsewhere, in other hands, damaged or absent are told apart, in one sentence each."""

import errno
import re
import subprocess
import sys

import h5py
import pytest
from test_episodes import HEADER, LANGUAGE, TASK, demonstration

from worldvla.data import raw, trajectories


@pytest.fixture
def raw_file(tmp_path):
    path = raw.task_file(tmp_path, TASK)
    raw.write_raw(path, HEADER, (demonstration(seed, 4 + seed) for seed in range(12)))
    return path


def test_links_inside_the_file_are_followed(raw_file):
    with h5py.File(raw_file, "r+") as file:
        file.move("data", "recorded")
        file["data"] = h5py.SoftLink("/recorded")
        file.move("recorded/demo_3/states", "kept_states")
        file["recorded/demo_3/states"] = h5py.SoftLink("/kept_states")
    assert raw.validate_raw(raw_file, TASK, LANGUAGE) == (12, sum(range(4, 16)))
    assert (trajectories.read_trajectory(raw_file, "demo_3").states == demonstration(3, 7).states).all()


def test_data_that_is_not_in_the_file_is_named(raw_file, tmp_path):
    other = tmp_path / "other.hdf5"
    raw_file.rename(other)

    def refusal(name, link):
        with h5py.File(other) as source, h5py.File(raw_file, "w") as file:
            source.copy("data", file)
            del file[name]
            file[name] = link
        with pytest.raises(ValueError, match="^" + re.escape(str(raw_file))) as error:
            raw.validate_raw(raw_file, TASK, LANGUAGE)
        return str(error.value).removeprefix(f"{raw_file}: ")

    advice = "; expected the data in the file itself, as only that is copied; put it there, e.g. with h5copy -f ext"
    for target in ("other.hdf5", "absent.hdf5"):
        link = h5py.ExternalLink(target, "data/demo_3")
        assert refusal("data/demo_3", link) == f"'data/demo_3' is in '{target}'{advice}"
    assert refusal("data", h5py.ExternalLink("other.hdf5", "data")) == f"'data' is in 'other.hdf5'{advice}"
    nowhere = refusal("data/demo_3/states", h5py.SoftLink("/absent"))
    assert (
        nowhere == "'data/demo_3/states' is a link to '/absent', where nothing is; expected data there; repair the link"
    )
    assert "is a link to '/data/demo_3'" in refusal("data/demo_3", h5py.SoftLink("/data/demo_3"))
    layout = h5py.VirtualLayout((7, 20), float)
    layout[:] = h5py.VirtualSource("other.hdf5", "data/demo_3/states", (7, 20))
    with h5py.File(other) as source, h5py.File(raw_file, "w") as file:
        source.copy("data", file)
        del file["data/demo_3/states"]
        file["data/demo_3"].create_virtual_dataset("states", layout)
    with pytest.raises(ValueError, match=r"'data/demo_3/states' is in another file; expected the data in the file its"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)


OPEN_FOR_WRITING = """
import h5py, os, sys
file = h5py.File(sys.argv[1], "r+", libver=sys.argv[2])
file.attrs["x"] = 1
file.flush()
print("open", flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_file_that_is_open_for_writing_is_told_apart_from_a_bad_one(raw_file, tmp_path):
    command = [sys.executable, "-c", OPEN_FOR_WRITING, raw_file, "earliest"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(
            ValueError, match=r": another process has it open for writing; .*close it there, then run ag"
        ):
            raw.validate_raw(raw_file, TASK, LANGUAGE)
        writer.communicate()
    raw.validate_raw(raw_file, TASK, LANGUAGE)
    marked = tmp_path / "marked.hdf5"
    with h5py.File(marked, "w", libver="latest") as file:
        file.create_group("data")
    command[-2:] = [str(marked), "latest"]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, stdout=subprocess.DEVNULL)
    with pytest.raises(ValueError, match=rf": marked as open for writing; .* run: h5clear -s {marked}$"):
        raw.validate_raw(marked, TASK, LANGUAGE)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(errno.EACCES, "unable to open file"),
            "cannot be read (Permission denied); expected a readable",
        ),
        (OSError(errno.EIO, "file read failed"), "cannot be read (Input/output error); expected a readable HDF5 file"),
        (
            OSError(errno.ENOLCK, "unable to lock file"),
            "no locks (No locks available); expected one with them; set HDF5_U",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_apart_from_a_bad_one(raw_file, monkeypatch, error, message):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(ValueError, match=re.escape(message)):
        raw.demo_names(raw_file)


def test_truncated_foreign_and_missing_files_are_named(raw_file, tmp_path):
    whole = raw_file.read_bytes()
    raw_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="a truncated HDF5 file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    raw_file.write_bytes(b"PK not HDF5" * 100)
    with pytest.raises(ValueError, match="not an HDF5 file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    raw_file.write_bytes(whole[:8] + bytes([9] * 100) + whole[108:])
    with pytest.raises(ValueError, match="a damaged HDF5 file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    raw_file.write_bytes(b"")
    with pytest.raises(ValueError, match="an empty file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)"):
        raw.validate_raw(tmp_path, TASK, LANGUAGE)
    with pytest.raises(ValueError, match="no such file"):
        raw.validate_raw(tmp_path / "absent.hdf5", TASK, LANGUAGE)
    with pytest.raises(ValueError, match=r"1 of 2 task files; missing 'b_demo.hdf5'; run: dvc repro -f download"):
        raw.task_files(tmp_path, [TASK, "b"])
