"""Training from published weights: fetched from the hub, read as they are, the head's rows of image codes at zero."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hub_server import serve, use
from published_names import write_text_tokenizer
from released_files import SIZE, read_files, weights, write_checkpoint
from test_training import PARAMS, random_episodes

from pipeline.train import fetch_base
from worldvla.data.hub import published
from worldvla.data.hub.published import Publication
from worldvla.model.batches import Windows
from worldvla.model.training import train
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import CHAMELEON

SIZES = {
    "hidden_size": SIZE["hidden_size"],
    "num_layers": SIZE["num_hidden_layers"],
    "num_heads": SIZE["num_attention_heads"],
    "intermediate_size": SIZE["intermediate_size"],
}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Return the folder of published weights, fetched from this machine's hub."""
    write_checkpoint(tmp_path / "published", seed=3)
    entry = Publication("Alpha-VLLM/Lumina-mGPT-7B-768", "model", "main", "begin with random weights", listed={})
    monkeypatch.setattr(published, "load", {"lumina": entry}.__getitem__)
    with serve(read_files(tmp_path / "published"), entry.repository, "model") as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        return fetch_base("lumina", tmp_path / "models")


@pytest.mark.slow
def test_a_training_begins_with_published_weights_and_a_head_that_draws_nothing(tmp_path, base):
    write_text_tokenizer(tmp_path / "text.json")
    still = replace(PARAMS, vocabulary="chameleon", base="lumina", steps=1, warmup_steps=0, batch=1, **SIZES)
    still = replace(still, learning_rate=1e-12, weight_decay=0.0, samples=("world",), mask="causal")
    texts = TextTokenizer.load_published(tmp_path / "text.json")
    actions = ActionTokenizer.published("release")
    samples = Windows(random_episodes(0, 1), CHAMELEON, texts, actions, still)
    codebook = np.zeros((CHAMELEON.num_codes, 8), np.float32)
    trained = train(still, CHAMELEON, codebook, samples, None, tmp_path / "work", base).model.state_dict()
    codes = slice(CHAMELEON.first_code, CHAMELEON.first_code + CHAMELEON.num_codes)
    for name, value in weights(seed=3).items():
        expected = value.float()
        if name == "lm_head.weight":
            expected[codes] = 0
        assert torch.allclose(trained[name], expected, atol=1e-9), name


def test_published_weights_need_the_published_vocabulary():
    with pytest.raises(ValueError, match=r"base is lumina; expected null, as the vocabulary is compact"):
        replace(PARAMS, base="lumina")
