"""The folder of files that are generated once and never tracked."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "work"


@contextlib.contextmanager
def racing_folder(final: Path) -> Iterator[Path]:
    """Yield a scratch folder of this process that becomes ``final`` unless another process was first."""
    scratch = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    yield scratch
    try:
        scratch.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(scratch)
