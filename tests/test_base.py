"""Training from published weights: fetched from the hub, read as they are, the head's rows of image codes at zero."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from hub_server import REVISION, serve, use
from published_names import write_text_tokenizer
from released_files import SIZE, read_files, weights, write_checkpoint
from test_training import PARAMS, random_episodes

from pipeline import train as train_stage
from pipeline.train import fetch_base
from worldvla.data.hub import published
from worldvla.data.hub.published import Publication
from worldvla.data.shards import write_shards
from worldvla.model import placement
from worldvla.model.weights import load
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.vocabulary import CHAMELEON

SIZES = {
    "hidden_size": SIZE["hidden_size"],
    "num_layers": SIZE["num_hidden_layers"],
    "num_heads": SIZE["num_attention_heads"],
    "intermediate_size": SIZE["intermediate_size"],
}


@pytest.fixture(params=[False, True], ids=["as Lumina", "as transformers"])
def hub(request, tmp_path, monkeypatch):
    """A hub on this machine that has the published weights, with norms of every head."""
    write_checkpoint(tmp_path / "published", seed=3, norms_per_head=request.param)
    entry = Publication("Alpha-VLLM/Lumina-mGPT-7B-768", "model", "main", "begin with random weights", listed={})
    monkeypatch.setattr(published, "load", {"lumina": entry}.__getitem__)
    with serve(read_files(tmp_path / "published"), entry.repository, "model") as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


PARAMS_OF_BASE = replace(
    PARAMS,
    vocabulary="chameleon",
    base="lumina",
    samples=("world",),
    mask="causal",
    steps=1,
    warmup_steps=0,
    batch=1,
    **SIZES,
)


@pytest.mark.slow
def test_a_training_begins_with_published_weights_and_a_head_that_draws_nothing(tmp_path, hub, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_shards(tmp_path / "shards/train", random_episodes(0, 1), per_shard=1)
    (tmp_path / "tokenizer").mkdir()
    write_text_tokenizer(tmp_path / "tokenizer/text.json")
    ActionTokenizer.published("release").save(tmp_path / "tokenizer/actions.json")
    codebook = np.zeros((CHAMELEON.num_codes, 8), np.float32)
    images = SimpleNamespace(num_codes=CHAMELEON.num_codes, codebook=codebook, digest="a")
    monkeypatch.setattr(train_stage, "ImageTokenizer", SimpleNamespace(load=lambda _: images))
    still = asdict(replace(PARAMS_OF_BASE, learning_rate=1e-12, weight_decay=0.0)) | {"samples": ["world"]}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump({"train": still}))
    folders = {name: tmp_path / name for name in ("shards", "tokenizer", "out")}
    train_stage.main(params=tmp_path / "resolved.yaml", timing=tmp_path / "timing.json", **folders)

    trained = load(tmp_path / "out").state_dict()
    codes = slice(CHAMELEON.first_code, CHAMELEON.first_code + CHAMELEON.num_codes)
    for name, value in weights(seed=3).items():
        expected = value.float()
        if name == "lm_head.weight":
            expected[codes] = 0
        assert torch.allclose(trained[name], expected, atol=1e-9), name
    assert f"| started from | lumina at {REVISION} |" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "free", "message"),
    [
        (
            {"num_layers": 3},
            10**12,
            r"got a model of .*num_layers=2.*, expected .*num_layers=3.*; correct train in conf/",
        ),
        ({}, 10**6, r"^train: it needs 0\.\d GB of cpu memory, 1[68] bytes of each weight"),
    ],
)
def test_what_cannot_be_trained_here_is_refused_before_the_shards_are_fetched(hub, monkeypatch, changes, free, message):
    monkeypatch.setattr(placement, "free_memory", lambda: free)
    with pytest.raises(ValueError, match=message):
        fetch_base(replace(PARAMS_OF_BASE, **changes))
    assert not [path for path in hub.sent if path.endswith(".safetensors")]


def test_published_weights_need_the_published_vocabulary():
    with pytest.raises(ValueError, match=r"base is lumina; expected null, as the vocabulary is compact"):
        replace(PARAMS, base="lumina")


def test_published_weights_know_nothing_of_waves():
    with pytest.raises(ValueError, match=r"position_rms is 0.1; expected 0, as the base lumina learned without it"):
        replace(PARAMS_OF_BASE, position_rms=0.1)
