"""Importing LIBERO and robosuite without their questions, downloads, log files and advice; and which versions will do."""

import gc
import hashlib
import importlib.metadata
import os
import re
import sys
import types
import warnings

import yaml

from worldvla.files import write_text
from worldvla.simulation import rendering
from worldvla.simulation.cache import CACHE
from worldvla.simulation.libero_assets import describe_assets, forbid_downloads
from worldvla.simulation.tasks import libero_root

PACKAGES = ("mujoco", "robosuite", "hf-libero")


def import_libero() -> None:
    """Import LIBERO, which asks a question on stdin unless it finds a configuration."""
    root = libero_root()
    folder = CACHE / f"libero-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
    paths = {"benchmark_root": ".", "bddl_files": "bddl_files", "init_states": "init_files", "datasets": "datasets"}
    config = {name: str(root / path) for name, path in (paths | {"assets": "assets"}).items()}
    if not (folder / "config.yaml").exists():
        write_text(folder / "config.yaml", yaml.safe_dump(config))
    os.environ["LIBERO_CONFIG_PATH"] = str(folder)
    import libero.libero

    forbid_downloads(libero.libero)


def import_simulator() -> None:
    """Import robosuite without its log file in /tmp and its advice about a missing file of macros."""
    rendering.choose_backend()
    first = "robosuite" not in sys.modules
    if first:
        private = types.ModuleType("robosuite.macros_private")
        private.FILE_LOGGING_LEVEL = None  # pyright: ignore[reportAttributeAccessIssue]
        private.CONSOLE_LOGGING_LEVEL = "WARNING"  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules["robosuite.macros_private"] = private
    import_libero()
    if first:
        # robosuite looks for garbage whenever a simulator ends: what is imported is none, and takes it 0.2 s beside torch.
        gc.freeze()


def versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a simulation does."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def describe(benchmark: str) -> str:
    """Return what simulates a benchmark, in words: packages with versions, and LIBERO's assets."""
    parts = [f"{name} {version}" for name, version in versions().items()]
    return ", ".join([*parts, describe_assets()] if benchmark == "libero" else parts)


def check_mujoco(version: str | None = None) -> None:
    """Refuse a MuJoCo in which LIBERO's initial states do not rest, and warn of one that renders otherwise.

    From 3.4 on a box stands otherwise on a box: the bowl of spatial task 5, stored above its ramekin, falls beside it,
    and published policies succeed in 12 % of its rollouts in place of 98 %. From 3.3.3 on floors are darker (an OpenVLA
    that has 88 % on the object suite has 69 %).

    Args:
        version: of MuJoCo; the installed one by default.

    Raises:
        ValueError: MuJoCo is 3.4 or later.

    Source: issues 88 and 141 of LIBERO, 4390 of lerobot.
    """
    version = version or importlib.metadata.version("mujoco")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers >= (3, 4):
        raise ValueError(
            f"MuJoCo is {version}; expected 3.3.2, for from 3.4 on LIBERO's initial states are not at rest and success "
            "rates are wrong; run: ./run setup"
        )
    if numbers >= (3, 3, 3):
        warnings.warn(
            f"MuJoCo is {version}, which renders LIBERO's floors darker than 3.3.2 and the published demonstrations; "
            "to compare with published results run: ./run setup",
            stacklevel=2,
        )
