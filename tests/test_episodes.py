import dataclasses

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
    return raw.RawDemonstration(
        actions=random.uniform(-1, 1, (num_steps, 7)),
        states=random.normal(size=(num_steps, 20)),
        robot_states=random.normal(size=(num_steps, 9)),
        ee_states=random.normal(size=(num_steps, 6)),
        gripper_states=random.normal(size=(num_steps, 2)),
        joint_states=random.normal(size=(num_steps, 7)),
        model_file="<mujoco/>",
    )


def filtered_episode(demo, num_steps=3):
    recorded = demonstration(7, num_steps)
    frames = np.random.default_rng(7).integers(0, 256, (num_steps, 16, 16, 3), np.uint8)
    fields = {field.name for field in dataclasses.fields(episodes.FilteredEpisode)}
    values = {name: value for name, value in vars(recorded).items() if name in fields}
    return episodes.FilteredEpisode(demo=demo, frames=frames, **values)


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
