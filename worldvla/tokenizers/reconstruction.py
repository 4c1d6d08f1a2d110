"""How well images survive the tokenizer: PSNR, PSNR of the foreground, codes used, and a picture.

The foreground is what moves: pixels that differ from the median frame of the training episodes by more than
``THRESHOLD`` in some channel. Robot and objects cover a small part of a frame, and all that a policy needs is there.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from worldvla.data.frame_sources import Frames
from worldvla.files import atomic_file
from worldvla.tokenizers.image import ImageTokenizer

THRESHOLD = 20  # grey levels of 255
MEDIAN_FRAMES = 256  # evenly spaced; more change the median little
BATCH = 32  # frames that are measured at once
# Frames that a measurement needs beside the sample: a batch, decoded or with noise, and the numbers of one frame, at most
# four arrays of eight bytes for each of its own.
WORKING_FRAMES = BATCH + 32
SCALE = 2  # of the picture
MARGIN = 24  # pixels above each row of the picture, for its label


def evenly_spaced(frames: Frames, count: int) -> NDArray[np.uint8]:
    """Return at most ``count`` frames, evenly spaced over all: uint8 [n, side, side, 3]."""
    return frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)]


def median_frame(frames: Frames) -> NDArray[np.uint8]:
    """Return the median over time of frames: uint8 [side, side, 3]."""
    chosen = evenly_spaced(frames, MEDIAN_FRAMES)
    return np.median(chosen, axis=0, overwrite_input=True).astype(np.uint8)  # or it would sort a copy


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
    random = np.random.default_rng(0)
    counts = np.zeros(tokenizer.num_codes, np.int64)
    sums, num_stable = np.zeros(3, np.int64), 0  # whole numbers: exact in any order
    for start in range(0, len(frames), BATCH):
        batch = frames[start : start + BATCH]
        codes = tokenizer.encode(batch)
        sums += _errors(batch, tokenizer.decode(codes), median)
        num_stable += int((tokenizer.encode(_with_noise(batch, random)) == codes).sum())
        counts += np.bincount(codes.ravel(), minlength=tokenizer.num_codes)
    error, foreground_error, num_moved = sums.tolist()
    shares = counts / counts.sum()
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum()
    return {
        "psnr": _psnr(error / frames.size),
        "foreground_psnr": _psnr(foreground_error / (3 * num_moved)) if num_moved else float("inf"),
        "num_codes_used": int((shares > 0).sum()),
        "codes_perplexity": float(np.exp(entropy)),
        "stable_codes": float(num_stable / counts.sum()),
    }


def _errors(frames: NDArray[np.uint8], decoded: NDArray[np.uint8], median: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sums of the squared errors and of those of the foreground, and the number of its pixels."""
    sums = np.zeros(3, np.int64)
    for frame, other in zip(frames, decoded, strict=True):
        errors = (other.astype(np.int32) - frame) ** 2
        moved = np.abs(frame.astype(np.int32) - median).max(axis=-1) > THRESHOLD
        sums += [errors.sum(), errors[moved].sum(), moved.sum()]
    return sums


def _with_noise(frames: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return frames with noise of one grey level (standard deviation)."""
    noisy = np.empty_like(frames)
    for frame, other in zip(frames, noisy, strict=True):
        other[:] = np.clip(np.rint(frame + random.normal(0.0, 1.0, frame.shape)), 0, 255)
    return noisy


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
