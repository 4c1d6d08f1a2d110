"""The typeface of drawn labels: matplotlib's own, so that every machine draws the same."""

from functools import cache
from pathlib import Path

from PIL import ImageFont

from worldvla.plotting import get_data_path


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans in pixels; letters are laid out by Pillow itself, whatever else is installed."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
