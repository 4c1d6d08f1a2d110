"""A policy that costs nothing: a small random transformer, and images of four codes."""

import numpy as np
import torch
from small_models import sharp

from worldvla.model.settings import ModelSettings
from worldvla.model.trained import TrainedModel
from worldvla.sequences import PROMPTS
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
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
