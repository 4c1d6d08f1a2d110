"""How well images survive the tokenizer: PSNR, PSNR of the foreground, codes used, and a picture.

The foreground is what moves: pixels that differ from the median frame of the training episodes by more than
``THRESHOLD`` in some channel. Robot and objects cover a small part of a frame, and all that a policy needs is there.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from worldvla.files import atomic_file
from worldvla.tokenizers.image import ImageTokenizer

THRESHOLD = 20  # grey levels of 255
MEDIAN_FRAMES = 256  # evenly spaced; more change the median little
SCALE = 2  # of the picture
MARGIN = 24  # pixels above each row of the picture, for its label


def median_frame(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median over time of frames [N, side, side, 3]: uint8 [side, side, 3]."""
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), MEDIAN_FRAMES)).astype(int)
    return np.median(frames[chosen], axis=0).astype(np.uint8)


def foreground(images: Tensor, median: Tensor) -> Tensor:
    """Return where images [N, 3, side, side] in [-1, 1] differ from the median frame: float 0 or 1, [N, 1, side, side]."""
    return ((images - median).abs().amax(1, keepdim=True) > THRESHOLD / 127.5).to(images.dtype)


def measure(tokenizer: ImageTokenizer, frames: NDArray[np.uint8], median: NDArray[np.uint8]) -> dict[str, float]:
    """Return what the tokenizer keeps of frames [N, side, side, 3].

    Returns:
        psnr and foreground_psnr: dB, of the mean squared error over all (foreground) pixels of all frames.
        num_codes_used, and codes_perplexity: the number of equally frequent codes of the same entropy.
        stable_codes: share of codes that stay the same under noise of one grey level (standard deviation).
    """
    codes = tokenizer.encode(frames)
    errors = (tokenizer.decode(codes).astype(np.float64) - frames) ** 2
    moved = np.abs(frames.astype(int) - median).max(axis=-1) > THRESHOLD
    noise = np.random.default_rng(0).normal(0.0, 1.0, frames.shape)
    noisy = np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)
    shares = np.bincount(codes.ravel(), minlength=tokenizer.num_codes) / codes.size
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum()
    return {
        "psnr": _psnr(errors.mean()),
        "foreground_psnr": _psnr(errors[moved].mean()) if moved.any() else float("inf"),
        "num_codes_used": int((shares > 0).sum()),
        "codes_perplexity": float(np.exp(entropy)),
        "stable_codes": float((tokenizer.encode(noisy) == codes).mean()),
    }


def _psnr(mean_squared_error: float) -> float:
    return float(10 * np.log10(255.0**2 / max(mean_squared_error, 1e-10)))


def draw(path: Path, tokenizer: ImageTokenizer, frames: NDArray[np.uint8]) -> None:
    """Write a picture of frames [N, side, side, 3] above their reconstructions."""
    rows = {"originals": frames, "decoded from their codes": tokenizer.decode(tokenizer.encode(frames))}
    side = tokenizer.pixels * SCALE
    picture = Image.new("RGB", (side * len(frames), (side + MARGIN) * len(rows)), "white")
    draw_on, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    for number, (label, row) in enumerate(rows.items()):
        top = number * (side + MARGIN)
        draw_on.text((4, top + 2), label, fill="black", font=font)
        strip = Image.fromarray(np.concatenate(list(row), axis=1))
        picture.paste(strip.resize((side * len(frames), side), Image.Resampling.NEAREST), (0, top + MARGIN))
    with atomic_file(path) as scratch:
        picture.save(scratch)
