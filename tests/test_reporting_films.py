"""Figures 4 and 5: which films are shown, and how."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from reporting_inputs import (
    TASKS,
    WORLDS,
    cells,
    make_project,
    report_params,
    section,
    write_clips,
    write_films,
    write_reports,
    write_rollouts,
)

from worldvla.reporting.pages.figure4 import pick
from worldvla.reporting.pictures import animation
from worldvla.reporting.pictures.strips import Strip, evenly


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


def test_the_first_pair_that_only_one_model_solved_is_picked_of_either_kind():
    only_world, only_action, both = (False, True), (True, False), (True, True)
    films = {
        (1, 0, 0): both,
        (1, 0, 1): only_action,
        (1, 1, 0): only_world,
        (1, 1, 1): only_world,
        (1, 1, 2): only_action,
    }
    assert pick(films) == [(1, 1, 0), (1, 0, 1)]
    assert pick({start: kind for start, kind in films.items() if kind != only_world}) == [(1, 0, 1)]
    assert pick({(1, 0, 0): both, (1, 0, 1): both}) == [(1, 0, 0)]
    assert pick({}) == []


def test_figure4_counts_all_pairs_and_says_which_are_shown(project):
    # Filmed are the initial states 0 and 9 of both tasks.
    write_rollouts(
        project / "rollouts" / "action_chunk_mask-goal-1", "action_chunk_mask", solved={(0, 9), (0, 3), (1, 0)}
    )
    write_rollouts(
        project / "rollouts" / "action_world_chunk_mask-goal-1", "action_world_chunk_mask", solved={(1, 9), (1, 0)}
    )
    folder = write_reports(project)
    text = (folder / "figure4.md").read_text()
    assert (
        "each training with that of the same number: only the action world model 1, only the action model 2, both 1"
        in text
    )
    assert (
        "Filmed: 4 pairs. Shown, in this order: solved by only the action world model ([action_chunk_mask-goal-1](runs.md"
        in text
    )
    two_pairs = height(folder / "figure4-goal.png")
    write_rollouts(
        project / "rollouts" / "action_world_chunk_mask-goal-1", "action_world_chunk_mask", solved={(1, 3), (1, 0)}
    )
    folder = write_reports(project)
    text = (folder / "figure4.md").read_text()
    assert (
        "None that only the action world model solved. Shown, in this order: solved by only the action model (" in text
    )
    assert 1.9 < two_pairs / height(folder / "figure4-goal.png") < 2.1


def height(picture: Path) -> int:
    with Image.open(picture) as opened:
        return opened.height


def test_without_a_disagreement_the_first_filmed_pair_is_shown(project):
    text = (write_reports(project) / "figure4.md").read_text()
    assert "None that only the action world model solved. None that only the action model solved." in text
    assert "Shown, in this order: solved by both (" in text


def test_without_films_the_pages_say_so(project):
    for path in project.rglob("*.mp4"):
        path.unlink()
    write_clips(project / "videos" / "goal", num_films=0)
    folder = write_reports(project)
    assert "No pair is filmed." in (folder / "figure4.md").read_text()
    assert "No clip has films" in (folder / "figure5.md").read_text()
    assert "No episode is filmed." in (folder / "table3.md").read_text()
    assert not {path.name for path in folder.iterdir()} & {"figure4-goal.png", "figure5-goal.png", "figure5-goal.gif"}


def test_figure5_shows_each_clip_and_its_animation_has_every_frame(project):
    folder = write_reports(project)
    text = (folder / "figure5.md").read_text()
    assert "1. “put the can in the basket”, episode `demo_0`\n2. “put the can in the tray”, episode `demo_1`" in text
    assert "The first 2 clips in motion:" in text
    assert (folder / "figure5-goal.gif").stat().st_size < animation.LIMIT_BYTES
    with Image.open(folder / "figure5-goal.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 20
        assert picture.info["loop"] == 0


def test_predictions_that_are_worse_than_copying_are_named(project):
    text = (write_reports(project) / "figure5.md").read_text()
    assert cells(text, "1", "world model")[2:] == ["18.0 against 16.0", "50.0 against 45.0", "better than copying"]
    path = project / "videos" / "goal" / "clips.parquet"
    rows = pq.read_table(path).to_pylist()
    rows = [row | {"ssim": 0.1} if row["source"] == "world-1" else row for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)
    assert (
        cells((write_reports(project) / "figure5.md").read_text(), "1", "world model")[-1]
        == "worse than copying by SSIM"
    )


def test_a_model_that_predicts_no_clips_is_called_neither_better_nor_worse(project):
    params = re.sub("(\n    world: .*)generate: true", r"\1generate: false", report_params())
    assert params != report_params()
    (project / "report.yaml").write_text(params)
    text = section((write_reports(project) / "figure5.md").read_text(), "Goal: what these clips score")
    assert {line.split(" | ")[1].strip() for line in text.splitlines() if re.match(r"\| +\d", line)} == {
        "action world model"
    }


def test_both_films_of_a_pair_are_shown_in_motion(project):
    with Image.open(write_reports(project) / "figure4-goal.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 9


def test_a_source_without_films_is_named(project):
    for path in (project / "videos").rglob("world-1.png"):
        path.unlink()
    assert "Without films: world model." in (write_reports(project) / "figure5.md").read_text()


def test_an_animation_that_would_be_large_shows_one_clip_smaller(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 40, 40, 3), np.uint8)
    films = [[Strip(name, list(noise), num_given=1) for name in ("truth", "world model")]] * 2
    assert animation.write_gif(tmp_path / "a.gif", films) == 1
    assert (tmp_path / "a.gif").stat().st_size < animation.LIMIT_BYTES
    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == animation.NUM_FRAMES
    animation.write_gif(tmp_path / "b.gif", films)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_clips_of_libero_size_are_drawn(project):
    frames = np.zeros((12, 256, 256, 3), np.uint8)
    write_films(
        project / "videos" / "goal" / "films",
        [(TASKS[0], {name: frames for name in ("truth", *(f"{one}-1" for one in WORLDS))})],
    )
    with Image.open(write_reports(project) / "figure5-goal.png") as picture:
        assert picture.width < 1300


def test_frames_are_spaced_evenly():
    assert evenly(21, 5) == [0, 5, 10, 15, 20]
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(1, 5) == [0]
