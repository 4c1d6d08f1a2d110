"""Figures are drawn whatever the environment asks for."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["worldvla.model.saving", "worldvla.reporting.pictures.forest", "worldvla.reporting.pictures.strips"]
)
def test_a_notebooks_backend_is_no_matter(module):
    env = os.environ | {"MPLBACKEND": "module://backend_of_a_notebook"}
    subprocess.run([sys.executable, "-c", f"import {module}, matplotlib.pyplot as p; p.figure()"], env=env, check=True)
