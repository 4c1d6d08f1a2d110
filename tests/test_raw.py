"""Raw files: LIBERO's layout as we write it, and as people have it; what is wrong is said in one sentence."""

import errno
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from test_episodes import HEADER, LANGUAGE, TASK, demonstration

from worldvla.data import raw, trajectories


@pytest.fixture
def raw_file(tmp_path):
    path = raw.task_file(tmp_path, TASK)
    raw.write_raw(path, HEADER, (demonstration(seed, 4 + seed) for seed in range(12)))
    return path


def test_raw_file_has_liberos_layout(raw_file):
    with h5py.File(raw_file) as file:
        data = file["data"]
        assert data.attrs["num_demos"] == 12
        assert data.attrs["total"] == sum(range(4, 16))
        assert data.attrs["macros_image_convention"] == "opengl"
        demo, original = data["demo_3"], demonstration(3, 7)
        assert demo.attrs["num_samples"] == 7
        assert demo["rewards"][()].tolist() == demo["dones"][()].tolist() == [0] * 6 + [1]
        assert (demo.attrs["init_state"] == original.states[0]).all()
        assert (demo["obs/ee_ori"][()] == original.ee_states[:, 3:]).all()


def test_raw_trajectories_come_in_numeric_order_and_unchanged(raw_file):
    read = [trajectories.read_trajectory(raw_file, demo) for demo in raw.demo_names(raw_file)]
    assert [trajectory.demo for trajectory in read] == [f"demo_{i}" for i in range(12)]
    assert (read[11].actions == demonstration(11, 15).actions).all()
    assert (read[11].states == demonstration(11, 15).states).all()


def test_the_same_demonstrations_give_the_same_bytes(raw_file, tmp_path):
    again = tmp_path / "again.hdf5"
    raw.write_raw(again, HEADER, (demonstration(seed, 4 + seed) for seed in range(12)))
    assert again.read_bytes() == raw_file.read_bytes()


def test_a_failed_recording_leaves_no_file(tmp_path):
    def demonstrations():
        yield demonstration(0)
        raise RuntimeError("the simulator died")

    with pytest.raises(RuntimeError, match="the simulator died"):
        raw.write_raw(tmp_path / "x.hdf5", HEADER, demonstrations())
    assert list(tmp_path.iterdir()) == []


def test_a_good_file_is_valid_by_its_task_name_or_by_its_instruction(raw_file):
    assert raw.validate_raw(raw_file, TASK, "other words") == (12, sum(range(4, 16)))
    assert raw.validate_raw(raw_file, "renamed", LANGUAGE) == (12, sum(range(4, 16)))


@pytest.mark.parametrize("spelling", ['"\\"put the can in the basket\\""', '["put the can ", "in the basket"]'])
def test_published_spellings_of_the_instruction_are_known(raw_file, spelling):
    with h5py.File(raw_file, "r+") as file:
        file["data"].attrs["problem_info"] = f'{{"language_instruction": {spelling}}}'
    raw.validate_raw(raw_file, "renamed", LANGUAGE)


def damage(what, file):
    data, demo = file["data"], file["data/demo_2"]
    match what:
        case "no data":
            file.move("data", "recordings")
        case "no demonstration":
            for name in list(data):
                del data[name]
        case "strange name":
            data.move("demo_2", "mask")
        case "wrong task":
            data.attrs["bddl_file_name"] = "libero_goal/turn_on_the_stove.bddl"
            data.attrs["problem_info"] = '{"language_instruction": "turn on the stove"}'
        case "wrong task by its instruction alone":
            del data.attrs["bddl_file_name"]
            data.attrs["problem_info"] = np.bytes_(b'{"language_instruction": "turn on the stove"}')
        case "no instruction":
            data.attrs["bddl_file_name"] = "libero_goal/turn_on_the_stove.bddl"
            data.attrs["problem_info"] = "{}"
        case "attribute of no text":
            data.attrs["bddl_file_name"] = np.bytes_(b"\xff\xfe")
            data.attrs["problem_info"] = h5py.Empty("S1")
        case "six dimensions":
            replace(demo, "actions", demo["actions"][:, :6])
        case "nothing to replay":
            for name in data:
                del data[name]["states"]


def replace(group, name, array):
    del group[name]
    group[name] = array


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no data", "the HDF5 file holds recordings; expected LIBERO's group 'data'"),
        ("no demonstration", "no demonstration; expected at least one"),
        ("strange name", "group 'data' holds 'mask'; expected only demo_0, demo_1, ..."),
        ("wrong task", f"demonstrations of 'turn_on_the_stove'; expected '{TASK}'"),
        ("wrong task by its instruction alone", f"demonstrations of 'turn on the stove'; expected '{TASK}'"),
        ("no instruction", "attribute 'problem_info' is no JSON with 'language_instruction'"),
        ("attribute of no text", "demonstrations of '\N{REPLACEMENT CHARACTER}"),
        ("six dimensions", "demo_2 has actions of 6 numbers, of another robot or controller; expected 7"),
        (
            "nothing to replay",
            "none of 12 demonstrations can be replayed (demo_0: no dataset 'states'); expected at least",
        ),
    ],
)
def test_a_bad_raw_file_is_named_with_what_is_wrong(raw_file, what, message):
    with h5py.File(raw_file, "r+") as file:
        damage(what, file)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    assert str(error.value).startswith(str(raw_file))
    assert str(error.value).endswith("; replace the file, or run: dvc repro -f download")
    assert "\n" not in str(error.value)


def spoil(what, demo):
    """Make one demonstration unusable."""
    match what:
        case "no group":
            parent, name = demo.parent, demo.name.rpartition("/")[2]
            del parent[name]
            parent[name] = np.zeros(3)
        case "no actions":
            del demo["actions"]
        case "no step":
            replace(demo, "actions", np.zeros((0, 7)))
        case "short states":
            replace(demo, "states", demo["states"][:-1])
        case "flat states":
            replace(demo, "states", demo["states"][:, 0])
        case "nan":
            actions = demo["actions"][()]
            actions[4, 6] = np.nan
            replace(demo, "actions", actions)
        case "infinite":
            replace(demo, "states", np.full((6, 20), np.inf))
        case "text":
            replace(demo, "actions", np.full((6, 7), b"left"))
        case "damaged":
            del demo["states"]
            states = demo.create_dataset("states", data=np.zeros((6, 20)), chunks=(6, 20), compression="gzip")
            states.id.write_direct_chunk((0, 0), b"not deflated")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no group", "no group"),
        ("no actions", "no dataset 'actions'"),
        ("no step", "no step"),
        ("short states", "6 actions and 5 states"),
        ("flat states", "'states' of shape (6,)"),
        ("nan", "step 4: actions[6] is nan"),
        ("infinite", "step 0: states[0] is inf"),
        ("text", "'actions' are not numbers"),
        ("damaged", "'states' is damaged, or compressed in a way unknown here"),
    ],
)
def test_one_bad_demonstration_is_not_the_end_of_its_file(raw_file, what, reason):
    with h5py.File(raw_file, "r+") as file:
        spoil(what, file["data/demo_2"])
    assert raw.validate_raw(raw_file, TASK, LANGUAGE) == (12, sum(range(4, 16)) - 6)
    assert raw.unusable_demonstrations(raw_file) == {"demo_2": reason}
    with pytest.raises(trajectories.UnusableDemonstrationError, match=re.escape(reason)):
        trajectories.read_trajectory(raw_file, "demo_2")


def test_what_no_replay_reads_is_not_asked_for(raw_file):
    """Like the files of public scripts that filter: no attributes, no wrist camera, gaps in the numbers."""
    with h5py.File(raw_file, "r+") as file:
        data = file["data"]
        for name in list(data.attrs):
            del data.attrs[name]
        del data["demo_3"]
        for demo in data.values():
            demo.attrs.clear()
            for name in ("rewards", "dones", "robot_states", "obs/ee_pos"):
                del demo[name]
    assert raw.validate_raw(raw_file, TASK, "other words") == (11, sum(range(4, 16)) - 7)
    with pytest.raises(ValueError, match=rf"demonstrations of '{TASK}_demo.hdf5'; expected 'turn_on_the_stove'"):
        raw.validate_raw(raw_file, "turn_on_the_stove", "turn on the stove")


PROBLEM = f'{{"language_instruction": "{LANGUAGE}"}}'


@pytest.mark.parametrize(
    "problem",
    [
        np.bytes_(PROBLEM.encode()),
        np.void(PROBLEM.encode()),
        np.frombuffer(PROBLEM.encode(), np.uint8),
        [PROBLEM],
        np.array([PROBLEM.encode()]),
        np.array(list(PROBLEM), dtype=h5py.string_dtype()),
    ],
)
@pytest.mark.parametrize("bddl_file", [h5py.Empty("S1"), np.bytes_(b""), None])
def test_attributes_are_text_whatever_their_writer_made_of_them(raw_file, problem, bddl_file):
    with h5py.File(raw_file, "r+") as file:
        attributes = file["data"].attrs
        attributes["problem_info"] = problem
        del attributes["bddl_file_name"]
        if bddl_file is not None:
            attributes["bddl_file_name"] = bddl_file
    raw.validate_raw(raw_file, "renamed", LANGUAGE)
    with pytest.raises(ValueError, match=f"demonstrations of '{LANGUAGE}'; expected 'renamed'"):
        raw.validate_raw(raw_file, "renamed", "other words")


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
