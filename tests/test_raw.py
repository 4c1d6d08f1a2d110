"""Raw files: LIBERO's layout as we write it, and as people have it; what is wrong is said in one sentence."""

import re

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


def test_a_file_of_another_task_with_the_same_instruction_is_refused(raw_file):
    others = [TASK, "KITCHEN_SCENE5_put_the_can_in_the_basket"]
    raw.validate_raw(raw_file, TASK, LANGUAGE, others)
    with pytest.raises(
        ValueError, match=f"demonstrations of '{TASK}'; expected 'KITCHEN_SCENE5_put_the_can_in_the_bas"
    ):
        raw.validate_raw(raw_file, "KITCHEN_SCENE5_put_the_can_in_the_basket", LANGUAGE, others)
    with h5py.File(raw_file, "r+") as file:  # of no task that is known: the instruction counts
        file["data"].attrs["bddl_file_name"] = "mine/can_to_basket.bddl"
    raw.validate_raw(raw_file, TASK, LANGUAGE, others)


def test_a_path_of_windows_names_the_task_too(raw_file):
    with h5py.File(raw_file, "r+") as file:
        file["data"].attrs["bddl_file_name"] = rf"C:\libero_goal\{TASK}.bddl"
    raw.validate_raw(raw_file, TASK, "other words")


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
        case "more states than any memory holds":
            del demo["states"]
            demo.create_dataset("states", (10**10, 100), "f8", chunks=(10, 100))
        case "more than any memory holds":
            del demo["actions"]
            demo.create_dataset("actions", (10**12, 7), "f8", chunks=(10, 7))
        case "complex":
            replace(demo, "actions", demo["actions"][()] + 1j)
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
        ("more states than any memory holds", "6 actions and 10000000000 states"),
        ("more than any memory holds", "'actions' of shape (1000000000000, 7) are more than the memory holds"),
        ("complex", "'actions' are not real numbers"),
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
