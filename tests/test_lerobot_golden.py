"""Datasets that lerobot's own writer wrote are read, and ours have their columns and types (lerobot_golden/regenerate.py)."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot_golden.regenerate import HERE, LENGTHS, TASKS, frame, numbers
from lerobot_things import DATA, LIST, exported

from worldvla.data.lerobot import statistics
from worldvla.data.lerobot.catalogue import read_catalogue
from worldvla.data.lerobot.info import read_info
from worldvla.data.lerobot.reading import read_frames, read_steps

FORMS = ("image", "video")
WORST_DB = 43  # of lerobot's own video


@pytest.mark.parametrize("form", FORMS)
def test_what_lerobot_wrote_is_read(form):
    info = read_info(HERE / form)
    entries = read_catalogue(info)
    assert [(entry.instruction, entry.length) for entry in entries] == list(zip(TASKS, LENGTHS, strict=True))
    for entry in entries:
        steps, frames = read_steps(info, entry), read_frames(info, entry)
        assert np.array_equal(steps.actions, [numbers(entry.index, step, 7) for step in range(entry.length)])
        assert steps.state is not None
        assert np.array_equal(steps.state, [numbers(entry.index, step, 8) for step in range(entry.length)])
        errors = frames.astype(float) - [frame(entry.index, step) for step in range(entry.length)]
        assert 10 * np.log10(255**2 / np.maximum((errors**2).mean((1, 2, 3)), 1e-10)).min() > WORST_DB


@pytest.mark.parametrize("form", FORMS)
def test_ours_has_the_columns_and_types_of_theirs(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = exported(tmp_path, video=form == "video"), HERE / form
    for name in (DATA, LIST, "meta/tasks.parquet"):
        found, expected = (
            {field.name: field.type for field in pq.read_schema(folder / name)} for folder in (ours, theirs)
        )
        assert found == expected, name
    found, expected = (json.loads((folder / "meta/info.json").read_text()) for folder in (ours, theirs))
    assert found.keys() == expected.keys()
    assert {key for key in found if found[key] != expected[key]} == {
        "features",
        "splits",
        "total_episodes",
        "total_frames",
        "total_tasks",
    }
    assert found["features"].keys() == expected["features"].keys()
    for name, feature in found["features"].items():
        assert feature["dtype"] == expected["features"][name]["dtype"]
    stats, expected = (json.loads((folder / "meta/stats.json").read_text()) for folder in (ours, theirs))
    shapes = [
        {key: {one: np.shape(v) for one, v in s.items()} for key, s in both.items()} for both in (stats, expected)
    ]
    assert shapes[0] == shapes[1]


def test_the_statistics_of_lerobot_are_ours():
    folder = HERE / "image"
    theirs = json.loads((folder / "meta/stats.json").read_text())
    info = read_info(folder)
    entries = read_catalogue(info)
    actions = np.concatenate([read_steps(info, entry).actions for entry in entries])
    counts = [statistics.ImageCounts.of(read_frames(info, entry)) for entry in entries]
    ours = {"action": statistics.of_numbers(actions), "observation.images.image": statistics.add(counts).stats()}
    for name, found in ours.items():
        for one in ("min", "max", "mean", "std", "count"):
            assert np.allclose(found[one], theirs[name][one], atol=1e-4), (name, one)  # theirs are sums of float32
