"""Scoring predicted clips: what is counted, what it is called, and what the stage refuses."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from test_episodes import filtered_episode

from pipeline import video_metrics
from worldvla.data.episodes import EPISODES, write_episode, write_table
from worldvla.data.file_names import task_file
from worldvla.data.generated import CLIPS as GENERATED
from worldvla.data.generated import MADE_OF
from worldvla.data.shards import TokenizedEpisode, read_shards, write_shards
from worldvla.data.splits import SCHEMA
from worldvla.metrics import videos
from worldvla.metrics.films import chosen
from worldvla.metrics.frames import psnr
from worldvla.metrics.i3d.features import Extractor
from worldvla.metrics.videos import Clip, Source, Videos

PIXELS, NUM_FRAMES = 16, 10


def noise(seed: int, num_clips: int = 4) -> np.ndarray:
    shape = (num_clips, NUM_FRAMES, PIXELS, PIXELS, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


CLIPS = [Clip(f"task_{place % 2}", f"demo_{place}", "put it there") for place in range(4)]


def test_scores_leave_the_given_frame_out_and_have_a_second_column_with_it():
    truth, predicted = noise(0), noise(1)
    predicted[:, 0] = truth[:, 0]
    rows = videos.score_clips(Videos(Source("world", "true"), predicted), truth, CLIPS, [5, 10], {})
    assert [(row["demo"], row["horizon"]) for row in rows[:3]] == [("demo_0", 5), ("demo_0", 10), ("demo_1", 5)]
    by_frame = psnr(predicted[0], truth[0])
    assert by_frame[0] == 80
    assert rows[0]["psnr"] == pytest.approx(by_frame[1:5].mean())
    assert rows[1]["psnr"] == pytest.approx(by_frame[1:10].mean())
    assert rows[0]["psnr_with_first"] == pytest.approx(by_frame[:5].mean())
    assert rows[0]["lpips_vgg"] is None
    assert rows[0]["code_accuracy"] is None


def test_a_metric_that_is_given_fills_its_column():
    truth = noise(0)

    def first_frame_alone(predicted, truth):
        return np.eye(NUM_FRAMES)[0]

    rows = videos.score_clips(
        Videos(Source("world", "true"), truth, [0.5] * 4), truth, CLIPS, [10], {"lpips_vgg": first_frame_alone}
    )
    assert [row["lpips_vgg"] for row in rows] == [0.0] * 4
    assert [row["lpips_vgg_with_first"] for row in rows] == [0.1] * 4
    assert [row["code_accuracy"] for row in rows] == [0.5] * 4


def test_films_are_the_first_clip_of_every_task_before_the_second_of_any():
    clips = [Clip(task, str(place), "") for place, task in enumerate("aabba")]
    assert chosen(clips, 3) == [0, 2, 1]
    assert chosen(clips, 9) == [0, 2, 1, 3, 4]
    assert chosen(clips, 0) == []


class FakeImages:
    """A tokenizer of one code per frame, which stands for a grey."""

    @classmethod
    def load(cls, _):
        return cls()

    def decode(self, codes):
        return np.broadcast_to(
            codes[:, 0].astype(np.uint8)[:, None, None, None], (len(codes), PIXELS, PIXELS, 3)
        ).copy()

    def encode(self, frames):
        return frames.mean(axis=(1, 2, 3)).astype(np.uint16)[:, None]


def recorded(number: int):
    frames = noise(number, num_clips=2)[0]
    longer = np.concatenate([frames, frames[:1]])
    return dataclasses.replace(filtered_episode(f"demo_{number}", NUM_FRAMES + 1), frames=longer)


@pytest.fixture
def project(tmp_path, monkeypatch, units_here):
    """Return a folder with eight episodes, four of them held out, and the predictions of two models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(video_metrics, "ImageTokenizer", FakeImages)
    monkeypatch.setattr(video_metrics, "CLIPS_PER_UNIT", 2)
    (tmp_path / "filtered").mkdir()
    (tmp_path / "tokenizer").mkdir()
    with h5py.File(task_file(tmp_path / "filtered", "put_it"), "w") as file:
        file.create_group("data").attrs["language"] = "put it"
        for number in range(8):
            write_episode(file["data"], recorded(number))  # pyright: ignore[reportArgumentType]
    pairs = [{"suite": "goal", "task": "put_it", "demo": f"demo_{number}"} for number in range(8)]
    steps = {"task_index": 0, "language": "put it", "kept": True, "reason": "kept", "num_steps": NUM_FRAMES + 1}
    kept = [pair | steps | {"num_raw_steps": NUM_FRAMES + 1, "num_noops": 0} for pair in pairs]
    write_table(tmp_path / "filtered/episodes.parquet", kept, EPISODES)
    rows = [row | {"split": "train" if place < 4 else "val_ind"} for place, row in enumerate(pairs)]
    write_table(tmp_path / "split.parquet", rows, SCHEMA)
    for seed, name in enumerate(("world", "action_world")):
        for actions in ("true", "shuffled"):
            greys = np.random.default_rng([seed, actions == "true"]).integers(
                0, 256, (4, NUM_FRAMES, 1), dtype=np.uint16
            )
            clips = [
                TokenizedEpisode("put_it", f"demo_{4 + place}", "put it", codes, np.zeros((NUM_FRAMES, 7), np.float32))
                for place, codes in enumerate(greys)
            ]
            write_shards(tmp_path / "generated" / name / actions, clips, 64)
        accuracy = [{"task": "put_it", "demo": f"demo_{4 + place}", "code_accuracy": 0.25} for place in range(4)]
        write_table(tmp_path / "generated" / name / "clips.parquet", accuracy, GENERATED)
        (tmp_path / "generated" / name / MADE_OF).write_text(json.dumps({"recipe": name}))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_stage(project: Path, out: str = "out", **changes) -> Path:
    section = {
        "horizons": [9, NUM_FRAMES],
        "i3d_weights": None,
        "i3d_pixels": 32,
        "lpips_vgg": None,
        "digests": {},
        "lpips_alex": None,
    }
    section |= {"models": ["world", "action_world"], "num_films": 1, "seed": 0, **changes}
    (project / "resolved.yaml").write_text(yaml.safe_dump({"video_metrics": section}))
    inputs = {name: project / name for name in ("generated", "filtered", "tokenizer")}
    paths = {"params": project / "resolved.yaml", "split": project / "split.parquet", "timing": project / "timing.json"}
    video_metrics.main(**inputs, **paths, out=project / out)
    return project / out


def test_the_stage_scores_every_source_at_every_horizon(project, capsys):
    out = run_stage(project)
    clips = pq.read_table(out / "clips.parquet").to_pylist()
    sources = {(row["source"], row["actions"]) for row in clips}
    models = {(name, actions) for name in ("world", "action_world") for actions in ("true", "shuffled")}
    assert sources == models | {("copy", "none"), ("reconstruction", "none")}
    assert len(clips) == len(sources) * 2 * 4
    given = [row for row in clips if row["source"] in ("world", "copy") and row["horizon"] == 9]
    for row in given:  # the given frame counts 80 dB
        assert row["psnr_with_first"] == pytest.approx((80 + 8 * row["psnr"]) / 9)
    assert json.loads((out / "models.json").read_text()) == {
        name: {"recipe": name} for name in ("world", "action_world")
    }
    sets = pq.read_table(out / "sets.parquet").to_pylist()
    assert {(row["source"], row["horizon"]) for row in sets} == {
        (source, horizon)
        for source in ("world", "action_world", "copy", "reconstruction")
        for horizon in (9, NUM_FRAMES)
    }
    assert {row["extractor"] for row in sets} == {"FD[i3d-random seed0 32px]"}
    assert all(row["distance"] > 0 and row["num_clips"] == 4 for row in sets)
    assert "FVD" not in capsys.readouterr().out


def test_films_are_the_frames_themselves(project):
    out = run_stage(project)
    (film,) = json.loads((out / "films" / "films.json").read_text())
    assert film == {
        "number": 0,
        "task": "put_it",
        "demo": "demo_4",
        "language": "put it",
        "num_frames": NUM_FRAMES,
        "pixels": PIXELS,
    }
    names = {path.stem for path in (out / "films" / "0").iterdir()}
    assert names == {"truth", "world", "action_world", "copy", "reconstruction"}
    tiled = np.asarray(Image.open(out / "films" / "0" / "truth.png"))
    frames = np.stack(np.split(tiled, NUM_FRAMES, axis=1))
    assert np.array_equal(frames, recorded(4).frames[:NUM_FRAMES])


SETS_OF = """
import sys
import numpy as np
from pipeline.video_metrics import distances
from worldvla.metrics.sources import TRUTH
from worldvla.metrics.videos import EXTRACTOR_NAMES, Source
rng = np.random.default_rng(0)
extractor = dict.fromkeys(EXTRACTOR_NAMES, "some")
rows = {
    source: [{"horizon": 10, "features": features, **extractor} for features in rng.normal(size=(56, 400)).tolist()]
    for source in (TRUTH, Source("world", "true"))
}
print(distances(rows, [10], seed=0))
"""


def test_distances_do_not_depend_on_threads_and_kernels_that_a_machine_chooses():
    choices = ({"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_NUM_THREADS": "2"}, {"OPENBLAS_CORETYPE": "Nehalem"})
    one, two, other = (
        subprocess.check_output([sys.executable, "-c", SETS_OF], env=os.environ | choice, text=True)
        for choice in choices
    )
    assert one == two == other
    assert "'distance': " in one


def test_the_same_input_gives_the_same_bytes(project):
    first, second = run_stage(project, "first"), run_stage(project, "second")
    assert contents(first) == contents(second)


def test_features_are_kept_over_an_interruption_and_the_bytes_are_the_same(project, monkeypatch):
    whole = run_stage(project, "whole")
    extract, calls = Extractor.features, []

    def features(extractor, clips):
        calls.append(clips)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return extract(extractor, clips)

    monkeypatch.setattr(Extractor, "features", features)
    with pytest.raises(KeyboardInterrupt):
        run_stage(project, "broken")
    assert not (project / "broken").exists()
    run_stage(project, "broken")
    assert len(calls) == 10 + 5 * 2 * 4 - 8, "five sets of four clips at two horizons; two units of two clips were kept"
    assert contents(project / "broken") == contents(whole)
    assert not list((project / "work/video_metrics").iterdir())


def test_the_bytes_do_not_depend_on_how_clips_are_cut_into_units(project, monkeypatch):
    pairs = run_stage(project, "pairs", num_films=3)
    monkeypatch.setattr(video_metrics, "CLIPS_PER_UNIT", 3)
    assert contents(run_stage(project, "threes", num_films=3)) == contents(pairs)


def test_features_of_two_extractors_are_refused(project, monkeypatch):
    """As of workers whose machines calibrate a random network to other numbers."""
    given = video_metrics.feature_extractor
    labels = iter("ab")

    def differing(*arguments):
        return dataclasses.replace(given(*arguments), digest=next(labels))

    monkeypatch.setattr(video_metrics, "feature_extractor", differing)
    extract, calls = Extractor.features, []

    def features(extractor, clips):
        calls.append(clips)
        if len(calls) == 10:
            raise OSError("this worker ends, and another one takes its place")
        return extract(extractor, clips)

    monkeypatch.setattr(Extractor, "features", features)
    message = r"features are of 2 extractors, \[.*'a'\), .*'b'\)\]; expected one; .* delete work/video_metrics"
    with pytest.raises(ValueError, match=message):
        run_stage(project)
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"i3d_weights": "absent.pt"}, "absent.pt: no such file"),
        ({"lpips_vgg": "absent.pth"}, "absent.pth: no such file; expected torchvision's vgg16"),
        ({"models": ["world", "wrld"]}, "wrld: no predictions here; run: dvc repro generate"),
        ({"horizons": [9, 11]}, "demo_4 has 10 frames, expected at least 11; run: dvc repro generate"),
    ],
)
def test_bad_input_is_named_and_an_earlier_output_stays(project, changes, message):
    before = run_stage(project)
    content = (before / "clips.parquet").read_bytes()
    with pytest.raises(ValueError, match=message):
        run_stage(project, **changes)
    assert (before / "clips.parquet").read_bytes() == content


def keep_clips(project: Path, number: int) -> None:
    """Leave each prediction its first clips alone."""
    for name in ("world", "action_world"):
        for actions in ("true", "shuffled"):
            folder = project / "generated" / name / actions
            clips = read_shards(folder)[:number]
            for path in folder.iterdir():
                path.unlink()
            write_shards(folder, clips, 64)
        accuracy = [{"task": "put_it", "demo": f"demo_{4 + place}", "code_accuracy": 0.25} for place in range(number)]
        write_table(project / "generated" / name / "clips.parquet", accuracy, GENERATED)


def test_one_clip_is_refused_and_three_have_a_distance_without_a_floor(project):
    keep_clips(project, 3)
    sets = pq.read_table(run_stage(project) / "sets.parquet").to_pylist()
    assert {row["floor"] for row in sets} == {None}
    assert all(row["distance"] > 0 for row in sets)
    keep_clips(project, 1)
    with pytest.raises(
        ValueError, match=r"generated: one clip, expected at least two, .*demonstrations_per_task in conf/"
    ):
        run_stage(project)
