"""Where an interrupted stage leaves what it has finished."""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import worldvla
from worldvla.files import atomic_file, file_digest, value_digest

CODE = ("worldvla", "pipeline")

Content = TypeVar("Content")


def work_folder(stage: str, inputs: object) -> Path:
    """Return ``work/<stage>/<digest>``, git-ignored, for one set of inputs and this very code.

    A stage continues only from work that the same params, the same data and the same code began: anything else has
    another folder.

    Args:
        stage: the stage's name.
        inputs: JSON-serialisable; params and digests of the data read.
    """
    # The stages are read from beside this package, which may not import them.
    root = Path(worldvla.__file__).parent.parent
    files = sorted(path for package in CODE for path in (root / package).rglob("*.py"))
    code = [[path.relative_to(root).as_posix(), file_digest(path)] for path in files]
    return Path("work") / stage / value_digest([inputs, code])[:16]


def read_checkpoint(path: Path, read: Callable[[Path], Content]) -> Content | None:
    """Return what ``read`` makes of a checkpoint; None if there is none, or a damaged one, which is named and set aside.

    Not deleted: reading may fail for want of memory too. It goes with the rest of the unfinished work.
    """
    if not path.is_file():
        return None
    try:
        return read(path)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, pickle.UnpicklingError):
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        print(
            f"{path}: cannot be read; expected the checkpoint of an interrupted run; set aside as {aside.name}, beginning anew",
            flush=True,
        )
        return None


@contextlib.contextmanager
def checkpoint_file(final: Path) -> Iterator[BinaryIO]:
    """Yield a stream for one ``torch.save``; the file appears whole or not at all.

    Raises:
        OSError: it cannot be written, e.g. to a full disk.
    """
    with atomic_file(final) as scratch, scratch.open("wb") as stream:
        try:
            yield stream
        except RuntimeError as error:
            # torch then fails at the end of its archive too, and shows that instead of what went wrong first.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
