"""Checkpoints of a training that may be interrupted: whole or not there, and set aside if they cannot be read."""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from worldvla.files import atomic_file

Content = TypeVar("Content")


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
