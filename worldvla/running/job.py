"""What workers are told: which function does the units, with which arguments, and which units there are."""

import importlib
import inspect
import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import worldvla
from worldvla.files import atomic_file, file_digest, write_json

JOB, ARGUMENTS = "job.json", "job.pickle"
CODE = ("worldvla", "pipeline")

# Does one unit: writes its result to a path, and tells now and then how much of it was done since the last time.
Work = Callable[[Any, Path, Callable[[int], object]], None]


@dataclass(frozen=True)
class Unit:
    """Something that is done in one go; its result is a function of the job's folder and its name alone."""

    name: str  # unique in its job; a file's name without a dot
    content: Any  # what the function is told; pickled
    size: int = 1  # of what progress counts


@dataclass(frozen=True)
class Job:
    """Units of one kind.

    ``begin(*arguments)`` is entered once by every worker, and yields what does a unit. It has to be at the top of a module,
    and the arguments and contents have to be picklable by the names of their modules.
    """

    folder: Path  # work/<stage>/<digest of all that decides the results>
    begin: Callable[..., AbstractContextManager[Work]]
    arguments: tuple[Any, ...]
    units: tuple[Unit, ...]
    noun: str  # of what progress counts
    suffix: str  # of the files of results
    environment: Mapping[str, str]  # of workers, before they load any library
    asks_model: bool = False  # whether a worker wants a GPU

    def write(self) -> None:
        """Write what workers read."""
        pickled = pickle.dumps((self.arguments, self.units))
        with atomic_file(self.folder / ARGUMENTS) as scratch:
            scratch.write_bytes(pickled)
        write_json(
            self.folder / JOB,
            {
                "begin": [_module(self.begin), self.begin.__name__],
                "units": [unit.name for unit in self.units],
                "noun": self.noun,
                "suffix": self.suffix,
                "environment": dict(self.environment),
                "code": code_digests(),
                "python": list(sys.version_info[:2]),
            },
        )


@dataclass(frozen=True)
class GivenJob:
    """A job as a worker finds it; nothing of its code is loaded before ``load``."""

    folder: Path
    units: tuple[str, ...]
    suffix: str
    _content: dict[str, Any]

    def check_code(self) -> None:
        """Raise if this worker's code or Python is not that of the stage."""
        differing = {*code_digests().items()} ^ {*self._content["code"].items()}
        if differing:
            path = min(path for path, _ in differing)
            raise ValueError(
                f"{self.folder}: this worker's code is not the stage's: {path} differs; expected the same commit; "
                "check it out here, or start the stage again"
            )
        if tuple(self._content["python"]) != sys.version_info[:2]:
            raise ValueError(
                f"{self.folder}: this worker runs Python {'.'.join(map(str, sys.version_info[:2]))}; expected "
                f"{'.'.join(map(str, self._content['python']))}, the stage's; run ./run setup here with that one"
            )

    def load(self) -> tuple[AbstractContextManager[Work], dict[str, Unit]]:
        """Return what does units, to be entered, and the units by name."""
        os.environ.update(self._content["environment"])
        module, name = self._content["begin"]
        begin = getattr(importlib.import_module(module), name)
        arguments, units = pickle.loads((self.folder / ARGUMENTS).read_bytes())
        return begin(*arguments), {unit.name: unit for unit in units}


def read_job(folder: Path) -> GivenJob:
    """Return the job of a folder.

    Raises:
        ValueError: there is none.
    """
    path = folder / JOB
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file; expected a job that a stage has written; run this in the project's folder while the "
            "stage runs"
        ) from None
    return GivenJob(folder, tuple(content["units"]), content["suffix"], content)


def code_digests() -> dict[str, str]:
    """Return the sha256 of every file of code, by its path in the project."""
    root = Path(worldvla.__file__).parent.parent
    files = sorted(path for package in CODE for path in (root / package).rglob("*.py"))
    return {path.relative_to(root).as_posix(): file_digest(path) for path in files}


def _module(function: Callable[..., object]) -> str:
    """Return the name to import a function's module by: a stage's own is ``__main__`` while it runs."""
    if function.__module__ != "__main__":
        return function.__module__
    main = inspect.getmodule(function)
    assert main is not None
    assert main.__spec__ is not None, "a stage is run as a module: python -m pipeline.<stage>"
    return main.__spec__.name
