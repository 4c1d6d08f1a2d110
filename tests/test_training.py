"""Training is a function of its params and data, killed or not."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from worldvla.data.shards import TokenizedEpisode
from worldvla.model.batches import ActionWindows
from worldvla.model.policy import ChameleonPolicy, PolicySettings
from worldvla.model.saving import write_model
from worldvla.model.training import learning_rate, train
from worldvla.params.train import TrainParams
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import compact

NUM_CODES = 16
PARAMS = TrainParams(
    vocabulary="compact",
    prompt="release",
    chunk=2,
    history=2,
    mask="action",
    split="train",
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    intermediate_size=64,
    steps=40,
    batch=4,
    learning_rate=3e-3,
    warmup_steps=5,
    decay_start=0.5,
    weight_decay=0.01,
    clip=1.0,
    z_loss=1e-5,
    image_weight=0.04,
    validate_every=20,
    checkpoint_every=10,
    max_length=256,
    seed=0,
)
TEXTS = TextTokenizer.train(["What action should the robot take to push?"], size=300)
ACTIONS = ActionTokenizer((-1.0,) * 7, (1.0,) * 7)
IDS = compact(TEXTS.size, NUM_CODES)


def windows(seed: int, chunk: int = PARAMS.chunk, steps: int = 12) -> ActionWindows:
    random = np.random.default_rng(seed)
    episodes = [
        TokenizedEpisode(
            "push",
            f"demo_{number}",
            "push",
            random.integers(0, NUM_CODES, (steps, 4)).astype(np.uint16),
            random.uniform(-1, 1, (steps, 7)).astype(np.float32),
        )
        for number in range(4)
    ]
    return ActionWindows(episodes, IDS, TEXTS, ACTIONS, prompt="release", chunk=chunk, history=PARAMS.history)


def run_training(work: Path):
    codebook = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)
    return train(PARAMS, IDS, codebook, windows(0), windows(1), work)


def digest(trained) -> str:
    parts = [value.numpy().tobytes() for _, value in sorted(trained.model.state_dict().items())]
    return hashlib.sha256(b"".join(parts) + repr(trained.curve).encode()).hexdigest()


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    script += "import pathlib, test_training as t\nprint(t.digest(t.run_training(pathlib.Path(sys.argv[1]))))"
    command = [sys.executable, "-c", script]
    whole = subprocess.run([*command, tmp_path / "whole"], capture_output=True, text=True, check=True).stdout.split()[
        -1
    ]

    process = subprocess.Popen([*command, tmp_path / "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert process.poll() is None, "the training ended before its first checkpoint"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = subprocess.run([*command, tmp_path / "killed"], capture_output=True, text=True, check=True).stdout
    assert "going on from step" in resumed
    assert resumed.split()[-1] == whole


@pytest.mark.slow
def test_training_learns_and_its_folder_is_a_policy(tmp_path, monkeypatch):
    trained = run_training(tmp_path / "work")
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"] - 1
    assert [row["step"] for row in trained.curve if row["validation_loss"] is not None] == [20, 40]

    tokenizer, model = tmp_path / "tokenizer", tmp_path / "model"
    tokenizer.mkdir()
    model.mkdir()
    TEXTS.save(tokenizer / "text.json")
    ACTIONS.save(tokenizer / "actions.json")
    settings = PolicySettings("compact", "release", "action", PARAMS.chunk, PARAMS.history)
    write_model(model, trained, settings, tokenizer, {"run": "test"})
    assert {"README.md", "curve.png", "curve.parquet", "policy.json"} <= {path.name for path in model.iterdir()}

    images = SimpleNamespace(num_codes=NUM_CODES)
    monkeypatch.setattr("worldvla.model.policy.ImageTokenizer", SimpleNamespace(load=lambda _: images))
    policy = ChameleonPolicy.load(model, tokenizer)
    histories = [np.zeros((1, 4), np.uint16), np.ones((2, 4), np.uint16), np.zeros((2, 4), np.uint16)]
    answers = policy.act(["push"] * 3, histories)
    alone = [policy.act(["push"], [history])[0] for history in histories]
    for answer, single in zip(answers, alone, strict=True):
        assert answer is None or answer.shape == (2, 7)
        assert (answer is None) == (single is None)
        assert answer is None or single is None or np.array_equal(answer, single)

    images.num_codes = NUM_CODES + 1
    with pytest.raises(ValueError, match=r"they belong to different runs\. Run: dvc repro train"):
        ChameleonPolicy.load(model, tokenizer)


def test_learning_rate_warms_up_stays_and_decays_to_nothing():
    rates = [learning_rate(PARAMS, step) / PARAMS.learning_rate for step in range(PARAMS.steps)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:21] == pytest.approx([1.0] * 16)
    assert rates[-1] == pytest.approx(1 / 20)


def test_a_chunk_longer_than_every_episode_is_named():
    with pytest.raises(
        ValueError, match="chunk is 13 but the longest of 4 episodes has 12 steps; choose a shorter chunk"
    ):
        windows(0, chunk=13)
