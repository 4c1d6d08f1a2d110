"""Predicting validation clips: which clips, which actions, one frame after the other; and what the stage refuses."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_models import sharp
from test_shards import episode, same

from pipeline import generate
from worldvla.data.clips import cut_clips, shuffle_actions
from worldvla.data.episodes import write_table
from worldvla.data.generated import CLIPS, read_generated
from worldvla.data.shards import read_shards, write_shards
from worldvla.model.settings import ModelSettings
from worldvla.model.trained import TrainedModel
from worldvla.model.world import WorldModel
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import compact

NUM_CODES, NUM_TOKENS = 16, 4  # entries of the codebook; codes per frame
TEXTS = TextTokenizer.train(["Generate the next image"], size=300)
IDS = compact(TEXTS.size, NUM_CODES)


class FakeImages:
    """A tokenizer whose round trip through pixels adds one to every code."""

    num_codes = NUM_CODES

    def decode(self, codes):
        return codes

    def encode(self, frames):
        return (frames + 1) % NUM_CODES


def settings(**changes) -> ModelSettings:
    given = {"vocabulary": "compact", "samples": ("world",), "prompt": "release", "mask": "causal"}
    return ModelSettings(**{**given, "chunk": 1, "history": 2, "image_tokenizer": "vqgan", **changes})


@pytest.fixture(scope="module")
def transformer():
    return sharp(IDS.size)


@pytest.fixture
def world(transformer):
    actions = ActionTokenizer((-1.0,) * 7, (1.0,) * 7)
    return WorldModel(
        TrainedModel(transformer, IDS, FakeImages(), TEXTS, actions, settings(), torch.device("cpu"))  # pyright: ignore[reportArgumentType]
    )


def clips(number: int = 3, num_steps: int = 6):
    small = [episode(seed, num_steps, NUM_TOKENS) for seed in range(number)]
    return [dataclasses.replace(one, codes=one.codes % NUM_CODES) for one in small]


def test_shorter_episodes_are_left_out_and_longer_ones_cut():
    kept = cut_clips([episode(0, 4), episode(1, 9), episode(2, 6)], 6, "shards")
    assert [(clip.demo, len(clip.codes), len(clip.actions)) for clip in kept] == [("demo_1", 6, 6), ("demo_2", 6, 6)]


def test_clips_that_are_all_shorter_than_the_horizon_are_named():
    with pytest.raises(
        ValueError, match=r"val_ind: the longest of 2 episodes has 9 frames, expected at least 10; lower"
    ):
        cut_clips([episode(0, 4), episode(1, 9)], 10, "val_ind")


@given(seed=st.integers(0, 9))
def test_the_control_has_the_same_actions_elsewhere(seed):
    true = clips(4, 8)
    control = shuffle_actions(true, seed)
    before, after = (np.sort(np.concatenate([clip.actions for clip in some]), axis=0) for some in (true, control))
    assert np.array_equal(before, after)
    assert all(np.array_equal(one.codes, other.codes) for one, other in zip(true, control, strict=True))
    moved = [np.any(one.actions != other.actions) for one, other in zip(true, control, strict=True)]
    assert all(moved)
    assert all(same(one, other) for one, other in zip(control, shuffle_actions(true, seed), strict=True))


def test_each_frame_follows_from_the_one_before_and_the_action_between(world):
    some = clips()
    first, actions = np.stack([clip.codes[0] for clip in some]), np.stack([clip.actions for clip in some])
    video = world.predict(first, actions)
    assert video.shape == (3, 6, NUM_TOKENS)
    assert video.dtype == np.uint16
    assert np.array_equal(video[:, 0], first)
    for step in range(5):
        again = world.predict(video[:, step], actions[:, step : step + 2])
        assert np.array_equal(again[:, 1], video[:, step + 1])
    alone = np.concatenate([world.predict(first[[row]], actions[[row]]) for row in range(3)])
    assert np.array_equal(alone, video)
    assert len(np.unique(video[:, 1:])) > 3, "the model must draw different frames for this to mean anything"


def test_another_action_gives_another_frame(world):
    actions = np.random.default_rng(0).uniform(-1, 1, (32, 4, 7))
    videos = world.predict(np.zeros((32, NUM_TOKENS), np.uint16), actions)
    assert len(np.unique(videos, axis=0)) > 1


def test_reencoding_puts_the_tokenizer_between_two_frames_but_not_behind_the_given_one(world):
    first, actions = np.zeros((1, NUM_TOKENS), np.uint16), np.zeros((1, 3, 7))
    plain, again = world.predict(first, actions), world.predict(first, actions, reencode=True)
    assert np.array_equal(plain[:, 1], again[:, 1])
    assert np.array_equal(again[:, 2], world.predict((again[:, 1] + 1) % NUM_CODES, actions[:, :2])[:, 1])


def test_accuracy_is_one_for_what_the_model_itself_predicts(world):
    start = clips(1)[0]
    video = world.predict(start.codes[:1], start.actions[None])[0]
    assert world.accuracy(video, start.actions) == 1.0
    spoilt = video.copy()
    spoilt[-1, -1] = (spoilt[-1, -1] + 1) % NUM_CODES
    assert world.accuracy(spoilt, start.actions) == pytest.approx(1 - 1 / (5 * NUM_TOKENS))


def run_stage(folder: Path, monkeypatch, world, horizons=(9, 11), batch=2):
    """Write what the stage reads, run it, and return its output."""
    for name in ("model", "tokenizer"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "model/README.md").write_text("| shards sha256 | 4f0c |\n| params besides the seed sha256 | 5e3d |")
    section = {"split": "val_ind", "horizons": list(horizons), "batch": batch, "reencode": False, "seed": 0}
    (folder / "resolved.yaml").write_text(yaml.safe_dump({"generate": section}))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(generate, "WorldModel", SimpleNamespace(load=lambda *_: world))
    paths = {name: folder / name for name in ("model", "tokenizer", "shards")}
    out = folder / "generated" / "world"
    generate.main(params=folder / "resolved.yaml", **paths, out=out, timing=folder / "timing.json")
    return out


def test_the_stage_writes_both_predictions_of_every_clip(tmp_path, monkeypatch, world, capsys, units_here):
    write_shards(tmp_path / "shards" / "val_ind", [*clips(3, num_steps=12), *clips(1, num_steps=10)], 64)
    out = run_stage(tmp_path, monkeypatch, world)
    (generated,) = read_generated(out.parent, ["world"], num_frames=11)
    assert generated.name == "world"
    assert generated.true.shape == generated.shuffled.shape == (3, 11, NUM_TOKENS)
    assert np.array_equal(generated.true[:, 0], generated.shuffled[:, 0])
    assert not np.array_equal(generated.true, generated.shuffled)
    assert all(0 <= share <= 1 for share in generated.code_accuracy)
    made_of = json.loads((out / "made_of.json").read_text())
    assert (made_of["data"], made_of["recipe"], made_of["trained_by"]) == ("4f0c", "5e3d", "unknown")
    printed = capsys.readouterr().out
    assert "left out: 1 of 4 episodes, shorter than 11 frames" in printed
    assert "3 clips of 11 frames, with true and with shuffled actions" in printed
    assert not list((tmp_path / "work/generate").iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_stage_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, world, units_here):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        write_shards(folder / "shards" / "val_ind", clips(5, num_steps=11), 64)
    expected = run_stage(whole, monkeypatch, world)
    calls = []

    def asked(name):
        def ask(*arguments):
            calls.append(name)
            if len(calls) in (4, 11):
                raise KeyboardInterrupt
            return getattr(world, name)(*arguments)

        return ask

    dying = SimpleNamespace(predict=asked("predict"), accuracy=asked("accuracy"))
    with pytest.raises(KeyboardInterrupt):
        run_stage(broken, monkeypatch, dying)
    assert not (broken / "generated" / "world").exists()
    (left,) = (broken / "work" / "generate").iterdir()
    (left / "results" / ".partial-1-shuffled-000000.result").write_bytes(b"what a kill leaves")
    with pytest.raises(KeyboardInterrupt):
        run_stage(broken, monkeypatch, dying)
    out = run_stage(broken, monkeypatch, dying)
    # Five clips in batches of two, twice: three batches were done, the fourth is begun anew. Then the clips of a batch one
    # by one: those of one batch were done, and one of the next, which is begun anew.
    assert calls == ["predict"] * 4 + ["predict"] * 3 + ["accuracy"] * 4 + ["accuracy"] * 3
    assert contents(out) == contents(expected)


def test_a_model_is_not_asked_for_what_it_has_not_learnt(tmp_path):
    settings(samples=("action",)).save(tmp_path)
    with pytest.raises(ValueError, match="trained on action samples, expected world among them; correct the lists"):
        WorldModel.load(tmp_path, tmp_path)


class TestReadGenerated:
    def write(self, folder: Path, name: str, number: int = 3, num_steps: int = 6, rows: int | None = None):
        for actions in ("true", "shuffled"):
            write_shards(folder / name / actions, clips(number, num_steps), 64)
        found = read_shards(folder / name / "true")[: number if rows is None else rows]
        table = [{"task": clip.task, "demo": clip.demo, "code_accuracy": 0.5} for clip in found]
        write_table(folder / name / "clips.parquet", table, CLIPS)

    def test_models_come_as_asked_for_and_are_cut_to_the_horizon(self, tmp_path):
        for name in ("world", "action_world", "left_from_earlier"):
            self.write(tmp_path, name)
        models = read_generated(tmp_path, ["world", "action_world"], num_frames=5)
        assert [model.name for model in models] == ["world", "action_world"]
        assert models[0].true.shape == (3, 5, NUM_TOKENS)

    def test_what_does_not_fit_is_named(self, tmp_path):
        with pytest.raises(ValueError, match="world: no predictions here; run: dvc repro generate"):
            read_generated(tmp_path, ["world"], 6)
        self.write(tmp_path, "world")
        with pytest.raises(ValueError, match="demo_0 has 6 frames, expected at least 7; run: dvc repro generate"):
            read_generated(tmp_path, ["world"], 7)
        self.write(tmp_path, "other", number=2)
        with pytest.raises(ValueError, match="other and world predict different clips"):
            read_generated(tmp_path, ["world", "other"], 6)
        self.write(tmp_path, "other", rows=1)
        with pytest.raises(
            ValueError, match=r"3 clips with true actions, 3 with shuffled ones, 1 rows in clips.parquet"
        ):
            read_generated(tmp_path, ["world", "other"], 6)
