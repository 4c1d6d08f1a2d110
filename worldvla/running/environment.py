"""Whether a stage runs with the packages that it was pinned to, checked where it starts; nothing big is imported for it."""

import importlib.metadata
import importlib.util
import os
import site
import sys
from pathlib import Path

from packaging.requirements import Requirement

# Those that decide what comes out, with the module of each.
MODULES = {"torch": "torch", "numpy": "numpy", "mujoco": "mujoco", "robosuite": "robosuite", "hf-libero": "libero"}
AGAIN = "rm -f .venv/installed && ./run setup"  # installs although nothing changed since
PINS = ("constraints.txt", "no-deps.txt")


def check() -> None:
    """Refuse packages of another place than the environment that runs this, and of other versions than the pinned ones.

    Another LIBERO or numpy on ``PYTHONPATH`` or among a user's own packages would be used without a word.

    Raises:
        ValueError: the first that is not what it should be.
    """
    prefixes = {Path(sys.prefix), Path(sys.prefix).resolve()}  # the environment, or what it links to, may be a link
    for name, pin in _pins().items():
        spec = importlib.util.find_spec(MODULES[name])
        expected = f"expected {name}{pin.specifier} in {sys.prefix}"
        if spec is None:
            raise ValueError(f"the package {name} is not installed; {expected}; run: {AGAIN}")
        folder = Path(next(iter(spec.submodule_search_locations or [spec.origin or ""]))).parent
        if not prefixes & {*folder.parents, *folder.resolve().parents}:
            raise ValueError(f"the package {name} comes from {folder}; {expected}; {_remedy(folder)}")
        version = importlib.metadata.version(name)
        if not pin.specifier.contains(version, prereleases=True):
            raise ValueError(f"the package {name} is {version}; {expected}; run: {AGAIN}")


def _pins() -> dict[str, Requirement]:
    root = Path(__file__).resolve().parents[2]
    lines = [line.partition("#")[0] for name in PINS for line in (root / name).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line.partition("==")[0] in MODULES]
    return {pin.name: pin for pin in pins if pin.marker is None or pin.marker.evaluate()}


def _remedy(folder: Path) -> str:
    named = [Path(path).resolve() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder.resolve() in named:
        return "take that folder off PYTHONPATH, then run the same command"
    if folder.resolve() == Path(site.getusersitepackages()).resolve():
        return "leave your own packages out by PYTHONNOUSERSITE=1, then run the same command"
    return "run this by: ./run reproduce"
