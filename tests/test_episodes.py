import dataclasses
import re

import h5py
import numpy as np
import pytest

from worldvla.data import episodes, raw

TASK = "put_the_can_in_the_basket"
LANGUAGE = "put the can in the basket"
HEADER = raw.RawHeader(
    env_name="Libero_Tabletop_Manipulation",
    problem_name="libero_tabletop_manipulation",
    language=LANGUAGE,
    bddl_file_name=f"libero_goal/{TASK}.bddl",
    bddl_file_content="(define)",
    env_kwargs={"control_freq": 20},
)


def demonstration(seed, num_steps=5):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (2, num_steps, 16, 16, 3), np.uint8)
    return raw.RawDemonstration(
        actions=random.uniform(-1, 1, (num_steps, 7)),
        states=random.normal(size=(num_steps, 20)),
        robot_states=random.normal(size=(num_steps, 9)),
        ee_states=random.normal(size=(num_steps, 6)),
        gripper_states=random.normal(size=(num_steps, 2)),
        joint_states=random.normal(size=(num_steps, 7)),
        agentview_rgb=images[0],
        eye_in_hand_rgb=images[1],
        model_file="<mujoco/>",
    )


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
        assert (demo["obs/agentview_rgb"][()] == original.agentview_rgb).all()
        assert (demo["obs/eye_in_hand_rgb"][()] == original.eye_in_hand_rgb).all()


def test_raw_trajectories_come_in_numeric_order_and_unchanged(raw_file):
    trajectories = [raw.read_trajectory(raw_file, demo) for demo in raw.demo_names(raw_file)]
    assert [trajectory.demo for trajectory in trajectories] == [f"demo_{i}" for i in range(12)]
    assert (trajectories[11].actions == demonstration(11, 15).actions).all()
    assert (trajectories[11].states == demonstration(11, 15).states).all()


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
        case "no attribute":
            del data.attrs["bddl_file_name"]
        case "no demonstration":
            for name in list(data):
                del data[name]
        case "strange name":
            data.move("demo_2", "mask")
        case "lost demonstration":
            del data["demo_2"]
        case "wrong task":
            data.attrs["bddl_file_name"] = "libero_goal/turn_on_the_stove.bddl"
            data.attrs["problem_info"] = '{"language_instruction": "turn on the stove"}'
        case "no instruction":
            data.attrs["problem_info"] = "{}"
        case "no camera":
            del demo["obs/eye_in_hand_rgb"]
        case "no step":
            replace(demo, "actions", np.zeros((0, 7)))
        case "six dimensions":
            replace(demo, "actions", demo["actions"][:, :6])
        case "short states":
            replace(demo, "states", demo["states"][:-1])
        case "grey frames":
            replace(demo, "obs/agentview_rgb", demo["obs/agentview_rgb"][..., 0])
        case "num_samples":
            demo.attrs["num_samples"] = 99
        case "nan":
            actions = demo["actions"][()]
            actions[4, 6] = np.nan
            replace(demo, "actions", actions)
        case "text":
            replace(demo, "actions", np.full((6, 7), b"left"))


def replace(group, name, array):
    del group[name]
    group[name] = array


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no data", "the HDF5 file holds recordings; expected LIBERO's group 'data'"),
        ("no attribute", "group 'data' lacks the attribute 'bddl_file_name'"),
        ("no demonstration", "no demonstration; expected at least one"),
        ("strange name", "group 'data' holds 'mask'; expected only demo_0, demo_1, ..."),
        ("lost demonstration", "11 demonstrations; num_demos says 12"),
        ("wrong task", f"demonstrations of 'turn_on_the_stove'; expected '{TASK}'"),
        ("no instruction", "attribute 'problem_info' is no JSON with 'language_instruction'"),
        ("no camera", "demo_2 lacks the dataset 'obs/eye_in_hand_rgb'"),
        ("no step", "demo_2 has no step; expected at least one"),
        ("six dimensions", "demo_2 has 'actions' of shape (6, 6); expected (6, 7)"),
        ("short states", "demo_2 has 'states' of shape (5, 20); expected (6, n)"),
        ("grey frames", "demo_2 has 'obs/agentview_rgb' of shape (6, 16, 16); expected (6, px, px, 3)"),
        ("num_samples", "demo_2 has 6 steps; num_samples says 99"),
        ("nan", "demo_2 step 4: actions[6] is nan; expected a finite number"),
        ("text", "demo_2: 'actions' cannot be read as numbers"),
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


def test_truncated_foreign_and_missing_files_are_named(raw_file, tmp_path):
    whole = raw_file.read_bytes()
    raw_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="a truncated HDF5 file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    raw_file.write_bytes(b"PK not HDF5" * 100)
    with pytest.raises(ValueError, match="not an HDF5 file"):
        raw.validate_raw(raw_file, TASK, LANGUAGE)
    with pytest.raises(ValueError, match="no such file"):
        raw.validate_raw(tmp_path / "absent.hdf5", TASK, LANGUAGE)
    with pytest.raises(ValueError, match=r"1 of 2 task files; missing 'b_demo.hdf5'; run: dvc repro -f download"):
        raw.task_files(tmp_path, [TASK, "b"])


def filtered_episode(demo, num_steps=3):
    recorded = demonstration(7, num_steps)
    fields = {field.name for field in dataclasses.fields(episodes.FilteredEpisode)}
    values = {name: value for name, value in vars(recorded).items() if name in fields}
    return episodes.FilteredEpisode(demo=demo, frames=recorded.agentview_rgb, **values)


@pytest.fixture
def filtered_folder(tmp_path):
    rows = []
    for index, task in enumerate(["pick_up_the_milk", "open_the_drawer"]):  # not in alphabetic order
        with h5py.File(raw.task_file(tmp_path, task), "w") as file:
            data = file.create_group("data")
            data.attrs["language"] = task.replace("_", " ")
            for number in (10, 2):
                episodes.write_episode(data, filtered_episode(f"demo_{number}", number))
        rows += [
            {"suite": "goal", "task": task, "task_index": index, "language": "", "demo": demo, "kept": demo != "demo_3"}
            | {"reason": "", "num_raw_steps": 12, "num_noops": 0, "num_steps": 12}
            for demo in ("demo_2", "demo_3", "demo_10")
        ]
    episodes.write_table(tmp_path / "episodes.parquet", rows, episodes.EPISODES)
    return tmp_path


def test_filtered_episodes_come_in_task_order_then_by_number(filtered_folder):
    found = list(episodes.read_filtered(filtered_folder))
    assert [(episode.task, episode.demo) for episode in found] == [
        ("pick_up_the_milk", "demo_2"),
        ("pick_up_the_milk", "demo_10"),
        ("open_the_drawer", "demo_2"),
        ("open_the_drawer", "demo_10"),
    ]
    original = filtered_episode("demo_10", 10)
    assert found[1].language == "pick up the milk"
    assert (found[1].actions == original.actions).all()
    assert (found[1].frames == original.frames).all()


def test_a_bad_filtered_folder_is_named(filtered_folder):
    with pytest.raises(ValueError, match=r"no whole episode 'demo_99'; run: dvc repro -f filter"):
        episodes.read_episode(filtered_folder, "open_the_drawer", "demo_99")
    path = raw.task_file(filtered_folder, "open_the_drawer")
    with h5py.File(path, "r+") as file:
        stored = file["data/demo_2/obs/agentview_rgb"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[stored.byte_offset : stored.byte_offset + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the episode 'demo_2' is damaged; run: dvc repro -f filter"):
        episodes.read_episode(filtered_folder, "open_the_drawer", "demo_2")
    (filtered_folder / "episodes.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"episodes.parquet: missing or no parquet file; run: dvc repro -f filter"):
        list(episodes.read_filtered(filtered_folder))


def test_a_table_without_a_column_is_named(tmp_path):
    path = tmp_path / "splits.parquet"
    episodes.write_table(path, [{"suite": "goal"}], episodes.EPISODES)
    with pytest.raises(ValueError, match="column 'split' is missing"):
        episodes.read_table(path, episodes.pa.schema([("split", episodes.pa.string())]), "run it again")
