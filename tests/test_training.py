"""Training is a function of its params and data, killed or not."""

import hashlib
import itertools
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldvla.data.shards import TokenizedEpisode
from worldvla.model import weights
from worldvla.model.batches import Windows
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.saving import CURVE, shares, write_model
from worldvla.model.settings import ModelSettings
from worldvla.model.training import share_of_rate, train
from worldvla.params.train import TrainParams
from worldvla.running import unfinished
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import compact

NUM_CODES = 16
PARAMS = TrainParams(
    vocabulary="compact",
    samples=("action", "world"),
    prompt="release",
    chunk=2,
    history=2,
    rounds=1,
    future=None,
    scene_prefix=False,
    mask="action",
    episodes="train",
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    intermediate_size=64,
    position_rms=0.0,
    base=None,
    steps=20,
    epochs=None,
    times=1,
    batch=4,
    learning_rate=3e-3,
    muon_learning_rate=None,
    warmup_steps=5,
    decay_start=0.5,
    weight_decay=0.01,
    dropout=0.0,
    clip=1.0,
    z_loss=1e-5,
    alpha=0.04,
    alpha_on="release",
    validate_every=20,
    checkpoint_every=10,
    threads=1,
    seed=0,
)
ACTIONS_ALONE = replace(PARAMS, samples=("action",), rounds=None, alpha=None, alpha_on=None)
TEXTS = TextTokenizer.train(["What action should the robot take to push?"], size=300)
ACTIONS = ActionTokenizer((-1.0,) * 7, (1.0,) * 7)
IDS = compact(TEXTS.size, NUM_CODES)


def windows(seed: int, params: TrainParams = PARAMS, steps: int = 12) -> Windows:
    return Windows(random_episodes(seed, 4, steps), IDS, TEXTS, ACTIONS, params)


def random_episodes(seed: int, count: int, steps: int = 12) -> list[TokenizedEpisode]:
    random = np.random.default_rng(seed)
    return [
        TokenizedEpisode(
            "push",
            f"demo_{number}",
            "push",
            random.integers(0, NUM_CODES, (steps, 4)).astype(np.uint16),
            random.uniform(-1, 1, (steps, 7)),
        )
        for number in range(count)
    ]


def run_training(work: Path, params: TrainParams = PARAMS, start: Path | None = None):
    codebook = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)
    trained = train(params, IDS, codebook, windows(0, params), windows(1, params), work, start)
    assert trained is not None
    return trained


def digest(trained) -> str:
    parts = [value.numpy().tobytes() for _, value in sorted(trained.model.state_dict().items())]
    return hashlib.sha256(b"".join(parts) + repr(trained.curve).encode()).hexdigest()


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    script += "import pathlib, test_training as t\n"
    script += "trained = t.run_training(pathlib.Path(sys.argv[1]), t.replace(t.PARAMS, dropout=0.3))\n"
    script += "print(trained.seconds, t.digest(trained))"
    command = [sys.executable, "-c", script]
    whole = subprocess.run([*command, tmp_path / "whole"], capture_output=True, text=True, check=True).stdout.split()[
        -1
    ]

    process = subprocess.Popen([*command, tmp_path / "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "killed").glob("step-*")):
        assert process.poll() is None, "the training ended before its first checkpoint"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (tmp_path / "killed" / "seconds").write_text("1000.0")  # as of a longer sitting
    resumed = subprocess.run([*command, tmp_path / "killed"], capture_output=True, text=True, check=True).stdout
    assert "going on from step" in resumed
    assert 1000 < float(resumed.split()[-2]) < 2000
    assert resumed.split()[-1] == whole


def test_a_training_that_has_ended_is_not_done_again(tmp_path, monkeypatch, capsys):
    params = replace(ACTIONS_ALONE, steps=3, warmup_steps=0)
    first = run_training(tmp_path, params)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: pytest.fail("trained again"))
    again = run_training(tmp_path, params)
    assert digest(again) == digest(first)
    assert f"train: going on from step {params.steps}" in capsys.readouterr().out


def test_seconds_are_noted_beside_the_checkpoint(tmp_path, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(unfinished, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    trained = run_training(tmp_path, replace(ACTIONS_ALONE, steps=3, warmup_steps=0))
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000003", "seconds"}
    noted = float((tmp_path / "seconds").read_text())
    assert 0 < noted <= trained.seconds < noted + 3
    monkeypatch.undo()
    again = run_training(tmp_path, replace(ACTIONS_ALONE, steps=3, warmup_steps=0))
    assert noted < again.seconds < noted + 60


@pytest.mark.slow
def test_training_learns_and_its_folder_is_a_policy(tmp_path, monkeypatch):
    trained = run_training(tmp_path / "work", replace(PARAMS, steps=200, validate_every=200))
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"] - 1
    assert [row["step"] for row in trained.curve if row["validation_loss"] is not None] == [200, 400]
    assert all(set(row) == set(CURVE.names) for row in trained.curve)
    assert trained.curve[-1]["validation_code"] > 0
    assert re.fullmatch(r"action \d+ %, code \d+ %, structure \d+ %", shares(trained.curve))

    tokenizer, model = tmp_path / "tokenizer", tmp_path / "model"
    tokenizer.mkdir()
    model.mkdir()
    TEXTS.save(tokenizer / "text.json")
    ACTIONS.save(tokenizer / "actions.json")
    settings = ModelSettings("compact", PARAMS.samples, "release", "action", PARAMS.chunk, PARAMS.history, "vqgan")
    write_model(model, trained, settings, tokenizer, {"run": "test"})
    assert {"README.md", "curve.png", "curve.parquet", "settings.json"} <= {path.name for path in model.iterdir()}

    images = SimpleNamespace(num_codes=NUM_CODES, digest="vqgan", codes_per_image=4)
    monkeypatch.setattr("worldvla.model.trained.ImageTokenizer", SimpleNamespace(load=lambda _: images))
    policy = ChameleonPolicy.load(model, tokenizer)
    histories = [np.zeros((1, 4), np.uint16), np.ones((2, 4), np.uint16), np.zeros((2, 4), np.uint16)]
    answers = policy.act(["push"] * 3, histories)
    alone = [policy.act(["push"], [history])[0] for history in histories]
    for answer, single in zip(answers, alone, strict=True):
        assert answer is not None, "a training as short as this must do for actions, or nothing is compared"
        assert single is not None
        assert answer.shape == (2, 7)
        assert np.array_equal(answer, single)

    images.num_codes = NUM_CODES + 1
    with pytest.raises(ValueError, match=r"they belong to different runs\. Run: dvc repro train"):
        ChameleonPolicy.load(model, tokenizer)
    images.digest = "another"
    with pytest.raises(
        ValueError, match=r"^.*/tokenizer: the image tokenizer is another, expected vqgan, whose codes the"
    ):
        ChameleonPolicy.load(model, tokenizer)


def test_learning_rate_warms_up_stays_and_decays_to_nothing():
    rates = [share_of_rate(PARAMS, step, 40) for step in range(40)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:21] == pytest.approx([1.0] * 16)
    assert rates[-1] == pytest.approx(1 / 20)


def test_epochs_give_every_suite_its_own_number_of_steps(tmp_path):
    params = replace(ACTIONS_ALONE, steps=None, epochs=2, warmup_steps=0, batch=5)
    trained = run_training(tmp_path, params)
    assert len(windows(0, params)) == 44
    assert [row["epoch"] for row in trained.curve] == [step / 8 for step in range(1, 17)]
    with pytest.raises(ValueError, match=r"got 44 samples, expected at least one batch of 50"):
        run_training(tmp_path / "few", replace(params, batch=50))
    with pytest.raises(ValueError, match=r"steps is 20 and epochs is 2; expected one of them, and null for the other"):
        replace(PARAMS, epochs=2)
    with pytest.raises(ValueError, match=r"steps is None and epochs is None; expected one"):
        replace(PARAMS, steps=None)


def test_a_chunk_longer_than_every_episode_is_named():
    with pytest.raises(
        ValueError,
        match=r"no action sample of chunk 13 fits into the longest of 4 episodes, which has 12 steps; lower it",
    ):
        windows(0, replace(PARAMS, chunk=13))


def test_a_pool_has_every_window_of_every_kind_once():
    pool = windows(0)
    layouts = [pool[index].layout.picture() for index in range(len(pool))]
    assert len(pool) == 4 * (12 - 1) + 4 * (12 - 1)
    assert [layouts.count(picture) for picture in ("t i | A A |", "t i i | A A |", "t i a | I |")] == [4, 40, 44]
    video = windows(0, replace(PARAMS, samples=("video",)))
    assert {video[index].layout.picture() for index in range(len(video))} == {"t i | I I |", "t i i | I I |"}
    assert len(video) == 4 * (12 - 2)
    one_frame = windows(0, replace(PARAMS, samples=("video",), future=1))
    assert len(one_frame) == 4 * (12 - 1)
    assert one_frame[5].layout.picture() == "t i i | I |"


@pytest.mark.slow
def test_training_goes_on_from_the_weights_of_another_run(tmp_path):
    params = replace(PARAMS, steps=4, warmup_steps=0)
    world = run_training(tmp_path / "world", replace(params, samples=("world",)))
    (tmp_path / "start").mkdir()
    weights.save(world.model, tmp_path / "start")
    still = replace(params, learning_rate=1e-12, weight_decay=0.0)
    trained = run_training(tmp_path / "finetune", still, tmp_path / "start").model.state_dict()
    for name, value in world.model.state_dict().items():
        assert np.allclose(value, trained[name], atol=1e-9), name
    with pytest.raises(ValueError, match=r"got a model of .*, expected .*; it was trained with other sizes"):
        run_training(tmp_path / "other", replace(still, intermediate_size=32), tmp_path / "start")
    with pytest.raises(ValueError, match=r"absent/config\.json: no such file"):
        run_training(tmp_path / "other", still, tmp_path / "absent")


def test_an_action_model_needs_nothing_that_images_need(tmp_path):
    """The weights are those of a run that names what images would weigh."""
    brief = {"steps": 3, "warmup_steps": 0}
    plain = run_training(tmp_path / "plain", replace(ACTIONS_ALONE, **brief))
    named = replace(ACTIONS_ALONE, alpha=0.04, alpha_on="paper", rounds=1, **brief)
    for name, value in run_training(tmp_path / "named", named).model.state_dict().items():
        assert torch.equal(value, plain.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": None}, "alpha is null; .* as the run has world samples; set train.alpha in conf/"),
        ({"alpha_on": None}, "alpha_on is null; .* as the run has world samples; set alpha_on in params.yaml"),
        ({"rounds": None}, "rounds is null; .* as the run has world samples; set rounds in params.yaml"),
    ],
)
def test_a_model_of_images_needs_to_know_what_they_weigh(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_training(tmp_path, replace(PARAMS, **changes))


def test_the_validation_loss_is_the_loss_that_is_trained_on_every_kind_at_once(tmp_path):
    last = run_training(tmp_path, replace(PARAMS, steps=5, learning_rate=0.01)).curve[-1]
    action, code, structure = (last[f"validation_{name}"] for name in ("action", "code", "structure"))
    # As many samples of both kinds: 2 actions of 9 tokens and a separator; 4 codes and 3 other tokens of an image.
    mixed = (19 * action + 0.04 * 4 * code + 3 * structure) / (19 + 0.04 * 4 + 3)
    apart = (action + (0.04 * 4 * code + 3 * structure) / (0.04 * 4 + 3)) / 2
    assert abs(mixed - apart) > 0.1
    assert last["validation_loss"] == pytest.approx(mixed, rel=1e-4)


def test_a_loss_without_weight_has_no_parts_and_says_so(tmp_path):
    params = replace(PARAMS, samples=("world",), alpha=0.0, alpha_on="paper", steps=2, warmup_steps=0)
    trained = run_training(tmp_path, params)
    assert [row["code_share"] for row in trained.curve] == [0, 0]
    assert trained.curve[-1]["cross_entropy"] == 0
    assert shares(trained.curve) == "none, as every answer weighs 0"
