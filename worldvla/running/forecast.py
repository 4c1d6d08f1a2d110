"""What a stage is going to need, in words, before it begins."""

import math
import os
import shutil
from pathlib import Path

WRITTEN = (Path("work"), Path("data"))  # where stages write: unfinished and finished
CLEARLY = 0.9  # of what is needed: forecasts are no more exact


def forecast(num_frames: int, pixels: int, disk: float, memory: float) -> str:
    """Return what a stage's frames will need, in words, if there is room for it.

    Args:
        num_frames: how many it goes through.
        pixels: their side.
        disk: bytes that it writes, about.
        memory: bytes that it holds at once, at most.

    Raises:
        ValueError: as ``check_room``.
    """
    check_room(disk)
    return f"frames: {num_frames:,} of {pixels} px; about {_size(disk)} on disk, at most {_size(memory)} in memory"


def check_room(disk: float) -> None:
    """Refuse to begin what would fill the disk; unfinished work, which may be this stage's, counts as room.

    Args:
        disk: bytes that a stage writes, about.

    Raises:
        ValueError: there is clearly less room.
    """
    places = [next(folder for folder in (path, *path.absolute().parents) if folder.is_dir()) for path in WRITTEN]
    free = sum({os.stat(place).st_dev: shutil.disk_usage(place).free for place in places}.values())
    begun = sum(map(_bytes_of, WRITTEN[0].rglob("*")))
    if free + begun < CLEARLY * disk:
        raise ValueError(
            f"{' and '.join(f'{path}/' for path in WRITTEN)}: {_size(free)} free; expected about {_size(disk)}; free some "
            "space, or work in a checkout on a larger disk, and run the same command"
        )


def _bytes_of(path: Path) -> int:
    """Return the size of a file; 0 of what is none, or is gone: other stages write there at this moment."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{math.ceil(num_bytes / 1e6)} MB"
