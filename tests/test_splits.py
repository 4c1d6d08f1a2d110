import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import split as stage
from worldvla.data.episodes import write_table
from worldvla.data.protocols import split_episodes
from worldvla.data.splits import SCHEMA, SPLITS, read_split

SUITES = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=8),
    st.sets(st.integers(0, 60), min_size=1, max_size=60),
    min_size=1,
    max_size=12,
)


def pairs(suite):
    return [(task, f"demo_{number}") for task, numbers in suite.items() for number in sorted(numbers)]


@given(SUITES, st.sampled_from(["paper", "release"]))
def test_every_episode_is_in_exactly_one_split(suite, protocol):
    split = split_episodes(pairs(suite), protocol)
    assert sorted(split) == sorted(pairs(suite))
    assert set(split.values()) <= set(SPLITS)


@given(SUITES)
def test_release_holds_out_whole_tasks_and_splits_the_others_like_paper(suite):
    paper, release = (split_episodes(pairs(suite), protocol) for protocol in ("paper", "release"))
    assert "val_ood" not in paper.values()
    held_out = {task for (task, _), name in release.items() if name == "val_ood"}
    others = {key: name for key, name in release.items() if key[0] not in held_out}
    assert others == {key: name for key, name in paper.items() if key[0] not in held_out}
    assert held_out == set(sorted(suite)[len(suite) - len(held_out) :])  # the alphabetically last
    assert len(held_out) == (0 if len(suite) == 1 else max(1, len(suite) - math.ceil(0.9 * len(suite))))


@given(SUITES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(suite, random):
    shuffled = pairs(suite)
    random.shuffle(shuffled)
    assert split_episodes(shuffled, "release") == split_episodes(pairs(suite), "release")


@given(st.sets(st.integers(0, 99), min_size=1))
def test_validation_is_the_lexicographic_tail_of_the_releases_folder_names(numbers):
    split = split_episodes([("task", f"demo_{number}") for number in numbers], "paper")
    folders = sorted(f"trj_{number}" for number in numbers)
    num_train = math.ceil(0.9 * len(folders))
    expected = {name.replace("trj", "demo") for name in folders[num_train:]}
    assert {demo for (_, demo), name in split.items() if name == "val_ind"} == expected


def test_liberos_fifty_demonstrations_of_ten_tasks():
    suite = {task: range(50) for task in ["turn_on_the_stove", *(f"put_{i}" for i in range(9))]}
    split = split_episodes(pairs(suite), "release")
    assert Counter(split.values()) == {"train": 405, "val_ind": 45, "val_ood": 50}
    assert {task for (task, _), name in split.items() if name == "val_ood"} == {"turn_on_the_stove"}
    val_ind = {demo for (task, demo), name in split.items() if (task, name) == ("put_0", "val_ind")}
    assert val_ind == {"demo_5", "demo_6", "demo_7", "demo_8", "demo_9"}


def test_a_split_file_is_read_back_without_its_empty_splits(tmp_path):
    path = tmp_path / "goal.parquet"
    rows = [
        {"suite": "goal", "task": "push", "demo": demo, "split": name}
        for demo, name in [("demo_2", "train"), ("demo_9", "val_ind"), ("demo_10", "train")]
    ]
    write_table(path, rows, SCHEMA)
    assert read_split(path) == {"train": [("push", "demo_2"), ("push", "demo_10")], "val_ind": [("push", "demo_9")]}
    write_table(path, [rows[0] | {"split": "test"}], SCHEMA)
    with pytest.raises(ValueError, match="unknown split 'test'; expected one of train, val_ind, val_ood"):
        read_split(path)


def test_a_task_without_any_kept_episode_is_refused(tmp_path, monkeypatch):
    rows = [{"task": "push", "demo": "demo_0", "kept": True}, {"task": "pull", "demo": "demo_0", "kept": False}]
    monkeypatch.setattr(stage, "read_episodes_table", lambda _: rows)
    params = tmp_path / "params.yaml"
    params.write_text("split: {benchmark: mini, suite: goal, protocol: paper, clip_frames: 9}")
    with pytest.raises(ValueError, match=r"filtered: no episode of the task 'pull' was kept; expected one or more"):
        stage.main(params=params, filtered=Path("filtered"), out=tmp_path / "split.parquet")
    assert not (tmp_path / "split.parquet").exists()


@pytest.mark.parametrize(
    ("number", "length", "message"),
    [
        (9, 12, r"filtered: 0 of 0 held-out episodes have the 12 frames of the clips to predict; expected 2 at least"),
        (19, 12, r"filtered: 1 of 1 held-out episodes"),
        (
            30,
            11,
            r"filtered: 0 of 3 held-out episodes .*; get more demonstrations, or lower generate.horizons in conf/$",
        ),
    ],
)
def test_too_few_episodes_to_predict_are_refused_before_anything_is_trained(
    tmp_path, monkeypatch, number, length, message
):
    rows = [{"task": "push", "demo": f"demo_{i}", "kept": True, "num_steps": length} for i in range(number)]
    monkeypatch.setattr(stage, "read_episodes_table", lambda _: rows)
    params = tmp_path / "params.yaml"
    params.write_text("split: {benchmark: mini, suite: goal, protocol: paper, clip_frames: 12}")
    with pytest.raises(ValueError, match=message):
        stage.main(params=params, filtered=Path("filtered"), out=tmp_path / "split.parquet")
    assert not (tmp_path / "split.parquet").exists()
