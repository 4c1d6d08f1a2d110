"""Animations of predicted clips: GIF files that stay small. The same frames give the same bytes."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from worldvla.reporting.pictures.strips import GIVEN, GREY, INK, Strip, evenly, font, palette_of, reduce, scaled

LIMIT_BYTES = 300_000
TILES = (144, 112, 80, 56, 40)  # sides of a frame to try, in pixels
NUM_FRAMES = 25
NUM_COLOURS = 96
FRAME_MS, LAST_MS = 200, 1400
GAP, TOP, BOTTOM = 6, 22, 20


def write_gif(path: Path, films: Sequence[Sequence[Strip]]) -> int:
    """Write clips in motion: below each other, the sources of one clip side by side.

    As many of the first clips are shown as fit into ``LIMIT_BYTES``; one clip that does not fit is shown smaller.

    Args:
        path: the GIF to write.
        films: of each clip the strips with all frames, the same sources in each.

    Returns:
        The number of clips that are shown.
    """
    tries = [(num, TILES[0]) for num in range(len(films), 0, -1)] + [(1, tile) for tile in TILES[1:]]
    num, content = 0, b""
    for num, tile in tries:
        content = _encode(films[:num], tile)
        if len(content) < LIMIT_BYTES:
            break
    path.write_bytes(content)
    return num


def _encode(films: Sequence[Sequence[Strip]], tile: int) -> bytes:
    steps = evenly(max(len(strip.frames) for film in films for strip in film), NUM_FRAMES)
    pictures = [_picture(films, step, tile) for step in steps]
    # One palette for all frames, of some of them: else still parts of the scene would flicker.
    together = Image.new("RGB", (pictures[0].width, pictures[0].height * 3))
    for place, picture in enumerate((pictures[0], pictures[len(pictures) // 2], pictures[-1])):
        together.paste(picture, (0, place * picture.height))
    palette = palette_of(together, NUM_COLOURS)
    frames = [reduce(picture, palette) for picture in pictures]
    stream = io.BytesIO()
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()


def _picture(films: Sequence[Sequence[Strip]], step: int, tile: int) -> Image.Image:
    """Return one moment of all clips, with the names of the sources and the number of the frame."""
    small = font(12)
    # A label may be wider than a small frame.
    width = max(tile, *(int(small.getlength(strip.label)) for strip in films[0])) + GAP
    canvas = Image.new("RGB", (len(films[0]) * width + GAP, TOP + len(films) * (tile + GAP) + BOTTOM), "white")
    pen = ImageDraw.Draw(canvas)
    for column, strip in enumerate(films[0]):
        pen.text((GAP + column * width + (width - GAP) // 2, TOP - 5), strip.label, INK, small, anchor="ms")
    for row, film in enumerate(films):
        for column, strip in enumerate(film):
            x, y = GAP + column * width + (width - GAP - tile) // 2, TOP + row * (tile + GAP)
            canvas.paste(scaled(strip.frames[min(step, len(strip.frames) - 1)], tile), (x, y))  # its last frame stays
            if step < strip.num_given:
                pen.rectangle((x, y, x + tile - 1, y + tile - 1), outline=GIVEN, width=3)
    text = f"frame {step}: given" if step < films[0][0].num_given else f"frame {step}"
    pen.text((GAP, canvas.height - 7), text, GREY, small, anchor="ls")
    return canvas
