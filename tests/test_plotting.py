"""Figures are drawn whatever the environment asks for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "module", ["worldvla.model.saving", "worldvla.reporting.pictures.forest", "worldvla.reporting.pictures.strips"]
)
def test_a_notebooks_backend_is_no_matter(module):
    env = os.environ | {"MPLBACKEND": "module://backend_of_a_notebook"}
    subprocess.run([sys.executable, "-c", f"import {module}, matplotlib.pyplot as p; p.figure()"], env=env, check=True)


def test_every_colour_of_a_figure_is_seen_on_white():
    """Contrast of 4.5 to 1 at least, as the Web Content Accessibility Guidelines define it."""
    folder = Path(__file__).parents[1] / "worldvla/reporting"
    found = {colour for path in folder.rglob("*.py") for colour in re.findall("#[0-9a-f]{6}", path.read_text())}
    assert len(found) >= 6
    for colour in found:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (luminance + 0.05) >= 4.5, colour
