"""What workers are told: which function does the units, with which arguments, and which units there are."""

import contextlib
import importlib
import inspect
import io
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
from worldvla.stage_code import code_of

JOB, ARGUMENTS = "job.json", "job.pickle"
COMPUTED_ON = "computed_on"  # the file that says which kind of processor or GPU

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
    as functions among the arguments, and these and the contents have to be picklable.
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
        pickled = io.BytesIO()
        _Pickler(pickled).dump((self.arguments, self.units))
        with atomic_file(self.folder / ARGUMENTS) as scratch:
            scratch.write_bytes(pickled.getbuffer())
        write_json(
            self.folder / JOB,
            {
                "begin": [_module(self.begin), self.begin.__name__],
                "units": [unit.name for unit in self.units],
                "noun": self.noun,
                "suffix": self.suffix,
                "environment": dict(self.environment),
                "code": code_digests(self.folder.parent.name),
                "asks_model": self.asks_model,
                "python": list(sys.version_info[:2]),
            },
        )


@dataclass(frozen=True)
class GivenJob:
    """A job as a worker finds it; nothing of its code is loaded before ``load``."""

    folder: Path
    units: tuple[str, ...]
    suffix: str
    environment: dict[str, str]
    _content: dict[str, Any]

    def check_code(self) -> None:
        """Raise if this worker's code or Python is not that of the stage."""
        differing = {*code_digests(self.folder.parent.name).items()} ^ {*self._content["code"].items()}
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
        """Return what does units, to be entered, and the units by name.

        Raises:
            ValueError: the results so far are of another kind of processor or GPU.
        """
        different = {name for name, value in self.environment.items() if os.environ.get(name) != value}
        assert not different, f"{different} must be set before a library is loaded that reads them"
        if self._content["asks_model"]:
            self._check_arithmetic()
        module, name = self._content["begin"]
        begin = _function(module, name)
        arguments, units = pickle.loads((self.folder / ARGUMENTS).read_bytes())
        return begin(*arguments), {unit.name: unit for unit in units}

    def _check_arithmetic(self) -> None:
        """Note what the first worker computes on, and raise on anything else: a model's sums differ in the last bits."""
        import torch

        on_gpu = torch.cuda.is_available()
        mine = torch.cuda.get_device_name() if on_gpu else f"a CPU with {torch.backends.cpu.get_cpu_capability()}"
        noted = self.folder / COMPUTED_ON
        with contextlib.suppress(FileExistsError), noted.open("x", encoding="utf-8") as stream:
            stream.write(mine)
        first = noted.read_text(encoding="utf-8")
        if first not in (mine, ""):  # nothing yet: somebody writes it at this moment
            raise ValueError(
                f"{self.folder}: this worker computes on {mine}; expected {first}, as the results so far; run it on such a "
                f"machine, or delete {self.folder} to begin anew"
            )


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
    return GivenJob(folder, tuple(content["units"]), content["suffix"], content["environment"], content)


def code_digests(stage: str) -> dict[str, str]:
    """Return the sha256 of the code that does a stage's units, by its path in the project: what decides them, and this."""
    root = Path(worldvla.__file__).parent.parent
    running = [path.relative_to(root).as_posix() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return {path: file_digest(root / path) for path in [*code_of(stage), *running]}


class _Pickler(pickle.Pickler):
    """Pickles a stage's own functions by the module that a worker imports them from, whose ``__main__`` is another."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how such a function is found again; of everything else, that pickle does as always."""
        if inspect.isfunction(obj) and obj.__module__ == "__main__":
            return _function, (_module(obj), obj.__name__)
        return NotImplemented


def _function(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _module(function: Callable[..., object]) -> str:
    """Return the name to import a function's module by: a stage's own is ``__main__`` while it runs."""
    if function.__module__ != "__main__":
        return function.__module__
    main = inspect.getmodule(function)
    assert main is not None
    assert main.__spec__ is not None, "a stage is run as a module: python -m pipeline.<stage>"
    return main.__spec__.name
