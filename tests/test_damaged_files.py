"""Whatever happens to the bytes of a file that a person brings, it is read, or refused in one sentence that names it."""

import random
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_episodes import HEADER, LANGUAGE, TASK, demonstration

from worldvla.data import raw, trajectories
from worldvla.metrics.i3d.weights import load_weights as load_i3d
from worldvla.tokenizers.perceptual import PerceptualLoss
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.tokenizers.weights import load_weights


def harmed(content: bytes, generator: random.Random) -> bytes:
    """Return a file with some bytes changed; one in four is cut off too."""
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 3, 20])):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed[: generator.randrange(len(changed))] if generator.random() < 0.25 else changed)


def check(path: Path, read, number: int) -> tuple[int, int]:
    """Read many harmed versions of a file; return how many could be read, and how many were refused in one sentence."""
    content, generator, refusals = path.read_bytes(), random.Random(0), []
    for _ in range(number):
        path.write_bytes(harmed(content, generator))
        try:
            read(path)
        except ValueError as error:
            refusals.append(str(error))
    for refusal in refusals:
        assert re.fullmatch(rf"{path}: .*expected .*", refusal), refusal
    return number - len(refusals), len(refusals)


def read_demonstrations(path: Path) -> None:
    raw.validate_raw(path, TASK, LANGUAGE)
    unusable = raw.unusable_demonstrations(path)
    for demo, length in zip(demos := raw.demo_names(path), trajectories.num_steps(path, demos), strict=True):
        if demo not in unusable:
            assert len(trajectories.read_trajectory(path, demo).actions) == length


def test_demonstrations(tmp_path):
    path = raw.task_file(tmp_path, TASK)
    raw.write_raw(path, HEADER, (demonstration(seed, 4 + seed) for seed in range(6)))
    could, refused = check(path, read_demonstrations, 150)
    assert could > 0
    assert refused > 0


def load_vqgan(path: Path) -> None:
    load_weights(VQGAN(VQGANConfig(num_codes=16, code_dim=4, base_channels=32, num_res_blocks=1)), path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("load", [load_vqgan, PerceptualLoss, load_i3d])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_weights(tmp_path, load, form):
    content = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(content, path)
    else:
        torch.save({"state_dict": content}, path, _use_new_zipfile_serialization=form == "zip")
    assert check(path, load, 15) == (0, 15)


@pytest.mark.parametrize("load", [TextTokenizer.load, TextTokenizer.load_published])
def test_text_tokenizers(tmp_path, load):
    path = tmp_path / "text.json"
    TextTokenizer.train(["put the can in the basket"], 300).save(path)
    assert check(path, load, 150)[1] > 0
