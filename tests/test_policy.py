"""What becomes of an answer with a token that is no bin, and which folders make no policy."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldvla.model import decoding
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.settings import ModelSettings
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.vocabulary import CHAMELEON

ACTIONS = ActionTokenizer.published("release")
ANSWER = torch.tensor([[[10_005, 10_133, 10_133, 10_124, 10_133, 65_535, 10_260]]])  # below the bins, and above


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(decoding, "decode_lanes", lambda *_, **__: ANSWER)
    return SimpleNamespace(
        ids=CHAMELEON,
        settings=SimpleNamespace(mask="action", chunk=1, history=2),
        actions=ACTIONS,
        transformer=None,
        device=torch.device("cpu"),
        prompt=lambda kind, language: [5, 6],
    )


def test_it_is_a_failure_of_the_policy(model):
    assert ChameleonPolicy(model).act(["push"], [np.zeros((1, 4), np.uint16)]) == [None]


def test_clamped_as_in_the_release_it_is_the_nearest_bin(model):
    (chunk,) = ChameleonPolicy(model, "clamp").act(["push"], [np.zeros((1, 4), np.uint16)])
    assert chunk is not None
    expected = ACTIONS.decode(np.array([[0, 127, 127, 118, 127, 254, 254]]))
    assert chunk.tolist() == expected.tolist()


def test_graphs_record_the_decoding_if_they_are_switched_on(model, monkeypatch):
    recorded = []
    monkeypatch.setattr("worldvla.model.policy.Graphs", lambda decode: recorded.append(decode) or decode)
    for graphs, count in ((False, 0), (True, 1)):
        ChameleonPolicy(model, "clamp", graphs).act(["push"], [np.zeros((1, 4), np.uint16)])
        assert len(recorded) == count


SETTINGS = ModelSettings("chameleon", ("action",), "release", "action", 5, 2, "a" * 64)


def test_codes_of_another_image_tokenizer_are_refused_before_the_weights_are_read(tmp_path, monkeypatch):
    SETTINGS.save(tmp_path)
    images = SimpleNamespace(load=lambda _: SimpleNamespace(num_codes=8192, digest="b" * 64))
    monkeypatch.setattr("worldvla.model.trained.ImageTokenizer", images)
    with pytest.raises(
        ValueError, match=r"^.*: the image tokenizer is b{12}, expected a{12}, whose codes .* dvc repro train$"
    ):
        ChameleonPolicy.load(tmp_path, tmp_path)


def test_settings_of_other_code_are_refused(tmp_path):
    SETTINGS.save(tmp_path)
    content = json.loads((tmp_path / "settings.json").read_text())
    del content["image_tokenizer"]
    (tmp_path / "settings.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"settings.json: 'image_tokenizer' is missing; expected chunk, .*dvc repro train$"
    ):
        ModelSettings.load(tmp_path)
