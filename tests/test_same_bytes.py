"""What the recorder and the filter write is the same on every x86-64 machine with AVX2.

What a library chooses by the machine is chosen here by hand, one thing at a time.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import yaml

from worldvla.files import folder_digest

REPOSITORY = Path(__file__).resolve().parents[1]
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
EXTENSIONS = numpy.show_config("dicts")["SIMD Extensions"]
AVX512 = [name for name in EXTENSIONS.get("found", []) if name.startswith(("AVX512", "X86_V4"))]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("avx512f" not in CPU, reason="this processor has no AVX-512 to forgo"),
]

CHOICES = {
    "OpenBLAS with AVX2": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS with AVX-512": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "numpy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": " ".join(AVX512)},
    "numba without AVX-512": {"NUMBA_CPU_NAME": "haswell"},
    "narrow vectors in the renderer": {"LP_NATIVE_VECTOR_WIDTH": "128"},
}


def digests(folder: Path, choice: dict[str, str]) -> dict[str, str]:
    """Record and filter two demonstrations with environment variables; return the digests of what is written."""
    scenes = {"benchmark": "mini", "suite": "goal", "tasks": [0], "seed": 0}
    sections = {
        "download": scenes
        | {"demonstrations": "scripted", "folder": None, "demonstrations_per_task": 2, "digests": {}},
        "filter": scenes | {"looks": "simple", "pixels": 32},
    }
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(sections))
    commands = (
        ["pipeline.download", "--out", "raw"],
        ["pipeline.filter", "--raw", "raw", "--out", "filtered"],
    )
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", *command, "--params", str(params)],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
            | {"PYTHONPATH": str(REPOSITORY)}
            | choice,
            check=True,
            capture_output=True,
        )
    return {name: folder_digest(folder / name) for name in ("raw", "filtered")}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict[str, str]:
    """Return the digests with what the libraries choose on this machine."""
    return digests(tmp_path_factory.mktemp("here"), {})


def test_numpy_has_something_to_forgo():
    assert AVX512


@pytest.mark.parametrize("choice", CHOICES)
def test_the_bytes_do_not_depend_on_what_a_machine_chooses(here, tmp_path, choice):
    assert digests(tmp_path, CHOICES[choice]) == here
