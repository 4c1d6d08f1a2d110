"""Strips: the frames of films side by side over time, one film per row. The same frames give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldvla.plotting import get_data_path
from worldvla.reporting.inputs.runs import instruction
from worldvla.simulation.videos import read_video

INK, GREY, GIVEN = "#1f2933", "#5a6673", "#8a5a00"
OUTCOMES = {"success": "#2f7d4f", "failure": "#b3412e"}
EPISODE_FRAMES, EPISODE_TILE = 7, 150
GAP, MARGIN = 5, 12
SAMPLE = 3  # every so many pixels, both ways, make the palette of a picture of few colours


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans in pixels, matplotlib's own; letters are laid out by Pillow itself, whatever else is installed."""
    path = Path(get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def reduce(picture: Image.Image, palette: Image.Image) -> Image.Image:
    """Return a picture with the colours of a palette, without dither: it would flicker and cost bytes."""
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def palette_of(picture: Image.Image, num_colours: int) -> Image.Image:
    """Return a picture whose palette suits another one, rare bright colours included."""
    size = (max(1, picture.width // SAMPLE), max(1, picture.height // SAMPLE))
    sample = picture.resize(size, Image.Resampling.NEAREST)
    return sample.quantize(num_colours, Image.Quantize.MAXCOVERAGE, kmeans=1)


@dataclass(frozen=True)
class Strip:
    """One film: frames, what stands left of them and what stands below each."""

    label: str
    frames: Sequence[np.ndarray]  # uint8 [height, width, 3]
    notes: Sequence[str] = ()  # nothing, or one per frame
    outcome: str = ""  # success or failure, below the label
    num_given: int = 0  # frames at the beginning that are framed: they were not predicted


@dataclass(frozen=True)
class Block:
    """Films that belong together, under one title."""

    title: str
    strips: Sequence[Strip]

    @classmethod
    def of_episode(cls, row: dict[str, Any], strips: Sequence[Strip]) -> "Block":
        """Return a block whose title says what an episode was told to do, and where it began."""
        training = f", training {row['training']}" if row["training"] > 1 else ""
        return cls(f"“{instruction(row)}”, initial state {row['init_state']}{training}", strips)


def strip_of(label: str, row: dict[str, Any], video: Path) -> Strip:
    """Return the strip of a filmed episode: frames evenly over its time, and its outcome."""
    frames = read_video(video)
    steps = evenly(len(frames), EPISODE_FRAMES)
    outcome = "success" if row["success"] else "failure"
    return Strip(label, [frames[step] for step in steps], [f"step {step}" for step in steps], outcome)


def evenly(num: int, most: int) -> list[int]:
    """Return at most ``most`` of the indices below ``num``, evenly spaced, the first and the last among them."""
    return np.linspace(0, num - 1, min(num, most)).round().astype(int).tolist()


def draw(path: Path, blocks: Sequence[Block], tile: int = EPISODE_TILE, num_colours: int | None = None) -> None:
    """Draw blocks below each other as PNG.

    Args:
        path: the PNG to write.
        blocks: from top to bottom.
        tile: side to which frames are scaled, in pixels.
        num_colours: at most 256, chosen for the picture, which keep one of noisy frames small; None for all.
    """
    labels, titles, notes = font(14), font(16, bold=True), font(12)
    strips = [strip for block in blocks for strip in block.strips]
    left = (
        MARGIN + max(int(labels.getlength(text)) for strip in strips for text in (strip.label, strip.outcome)) + MARGIN
    )
    right = left + max(len(strip.frames) for strip in strips) * (tile + GAP) - GAP
    width = max(right, *(MARGIN + int(titles.getlength(block.title)) for block in blocks)) + MARGIN
    height = sum(30 + sum(_height(strip, tile) for strip in block.strips) + MARGIN for block in blocks) + MARGIN
    canvas = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(canvas)
    top = MARGIN
    for block in blocks:
        pen.text((MARGIN, top), block.title, INK, titles)
        top += 30
        for strip in block.strips:
            _label(pen, strip, top + tile // 2, labels)
            for column, frame in enumerate(strip.frames):
                x = left + column * (tile + GAP)
                canvas.paste(scaled(frame, tile), (x, top))
                if column < strip.num_given:
                    pen.rectangle((x, top, x + tile - 1, top + tile - 1), outline=GIVEN, width=3)
                if strip.notes:
                    pen.text((x + tile // 2, top + tile + 3), strip.notes[column], GREY, notes, anchor="ma")
            top += _height(strip, tile)
        top += MARGIN
    if num_colours is not None:
        canvas = reduce(canvas, palette_of(canvas, num_colours))
    canvas.save(path, optimize=True)


def scaled(frame: np.ndarray, pixels: int) -> Image.Image:
    """Return a frame as a square picture of this side."""
    picture = Image.fromarray(frame)
    return picture if picture.width == pixels else picture.resize((pixels, pixels), Image.Resampling.LANCZOS)


def _height(strip: Strip, tile: int) -> int:
    return tile + (22 if strip.notes else GAP)


def _label(pen: ImageDraw.ImageDraw, strip: Strip, middle: int, face: ImageFont.FreeTypeFont) -> None:
    if strip.outcome and strip.label:
        pen.text((MARGIN, middle - 3), strip.label, INK, face, anchor="ls")
        pen.text((MARGIN, middle + 15), strip.outcome, OUTCOMES[strip.outcome], face, anchor="ls")
    else:
        text, colour = (strip.label, INK) if strip.label else (strip.outcome, OUTCOMES.get(strip.outcome, INK))
        pen.text((MARGIN, middle), text, colour, face, anchor="lm")
