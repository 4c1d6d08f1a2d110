"""A policy that costs nothing: a small random transformer, and images of four codes."""

import shutil
from pathlib import Path

import numpy as np
import torch
from small_models import sharp

from worldvla.model import weights
from worldvla.model.settings import ModelSettings
from worldvla.model.trained import TrainedModel
from worldvla.sequences import PROMPTS
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.vocabulary import compact

PIXELS, NUM_CODES, HISTORY, CHUNK = 8, 16, 2, 3
TASKS = ("open the drawer", "put the bowl on the plate", "push the plate")
TEXTS = TextTokenizer.train([PROMPTS["release"]["action"].format(task=task) for task in TASKS], size=300)
IDS = compact(TEXTS.size, NUM_CODES)


class FakeImages:
    """A tokenizer whose codes are the brightness of an image's quarters."""

    num_codes, codes_per_image, pixels = NUM_CODES, 4, PIXELS

    def encode(self, frames):
        assert frames.shape[1:] == (PIXELS, PIXELS, 3)
        half = PIXELS // 2
        quarters = frames.reshape(len(frames), 2, half, 2, half, 3).mean(axis=(2, 4, 5)).reshape(len(frames), 4)
        return (quarters // 16).astype(np.uint16)

    def decode(self, codes):
        quarters = np.asarray(codes, np.uint8).reshape(-1, 2, 1, 2, 1, 1) * 16 + 8
        return np.broadcast_to(quarters, (len(codes), 2, PIXELS // 2, 2, PIXELS // 2, 3)).reshape(-1, PIXELS, PIXELS, 3)


def toy_model(mask: str = "action", samples: tuple[str, ...] = ("action", "world")) -> TrainedModel:
    settings = ModelSettings("compact", samples, "release", mask, CHUNK, HISTORY, "a" * 64)
    actions = ActionTokenizer((-1.0,) * 7, (1.0,) * 7)
    return TrainedModel(sharp(IDS.size), IDS, FakeImages(), TEXTS, actions, settings, torch.device("cpu"))  # pyright: ignore[reportArgumentType]


def frame(seed: int) -> np.ndarray:
    quarters = np.random.default_rng(seed).integers(0, 256, (2, 2, 1), np.uint8)
    return np.ascontiguousarray(
        np.broadcast_to(quarters.repeat(PIXELS // 2, 0).repeat(PIXELS // 2, 1), (PIXELS, PIXELS, 3))
    )


SMALL = VQGANConfig(
    num_codes=NUM_CODES, code_dim=8, base_channels=8, channel_multiplier=(1, 1, 2), num_res_blocks=1, norm_groups=4
)


def write_tokenizer(folder: Path, seed: int = 0, pixels: int = PIXELS) -> ImageTokenizer:
    """Write a tokenizer's folder as the stage does, with a VQ-GAN of random weights."""
    torch.manual_seed(seed)
    images = ImageTokenizer(VQGAN(SMALL), pixels)
    images.save(folder)
    TEXTS.save(folder / "text.json")
    ActionTokenizer((-1.0,) * 7, (1.0,) * 7).save(folder / "actions.json")
    return images


def write_project(folder: Path, run: str = "toy", samples: tuple[str, ...] = ("action", "world")) -> Path:
    """Write a run and its tokenizer into ``data/`` of a folder; return the run's. The model answers with bins alone."""
    images = write_tokenizer(folder / "data/tokenizer/goal-main")
    model = folder / "data/models" / run
    model.mkdir(parents=True)
    transformer = sharp(IDS.size)
    with torch.no_grad():
        transformer.lm_head.weight[: IDS.first_bin] = 0
        transformer.lm_head.weight[IDS.first_code :] *= 0.001
    weights.save(transformer, model)
    ModelSettings("compact", samples, "release", "action", CHUNK, HISTORY, images.digest).save(model)
    for name in ("text.json", "actions.json"):
        shutil.copyfile(folder / "data/tokenizer/goal-main" / name, model / name)
    (model / "README.md").write_text(f"# {run}\n\n| | |\n| --- | --- |\n| shards sha256 | {'b' * 64} |\n")
    return model
