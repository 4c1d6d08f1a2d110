"""Importing LIBERO and robosuite without their questions, log files and advice."""

import hashlib
import importlib.util
import os
import sys
import types
from pathlib import Path

import yaml

from worldvla.files import write_text
from worldvla.simulation import rendering
from worldvla.simulation.cache import CACHE


def import_libero() -> None:
    """Import LIBERO, which asks a question on stdin unless it finds a configuration."""
    spec = importlib.util.find_spec("libero")
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError("LIBERO is not installed; run: ./run setup")
    root = Path(next(iter(spec.submodule_search_locations))) / "libero"
    folder = CACHE / f"libero-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
    paths = {"benchmark_root": ".", "bddl_files": "bddl_files", "init_states": "init_files", "datasets": "datasets"}
    config = {name: str(root / path) for name, path in (paths | {"assets": "assets"}).items()}
    if not (folder / "config.yaml").exists():
        write_text(folder / "config.yaml", yaml.safe_dump(config))
    os.environ["LIBERO_CONFIG_PATH"] = str(folder)
    import libero.libero  # noqa: F401


def import_simulator() -> None:
    """Import robosuite without its log file in /tmp and its advice about a missing file of macros."""
    rendering.choose_backend()
    if "robosuite" not in sys.modules:
        private = types.ModuleType("robosuite.macros_private")
        private.FILE_LOGGING_LEVEL = None  # pyright: ignore[reportAttributeAccessIssue]
        private.CONSOLE_LOGGING_LEVEL = "WARNING"  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules["robosuite.macros_private"] = private
    import_libero()
