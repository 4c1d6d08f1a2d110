"""What a stage is going to need, in words, before it begins."""

import math


def forecast(num_frames: int, pixels: int, disk: float, memory: float) -> str:
    """Return what a stage's frames will need, in words.

    Args:
        num_frames: how many it goes through.
        pixels: their side.
        disk: bytes that it writes, about.
        memory: bytes that it holds at once, at most.
    """
    return f"frames: {num_frames:,} of {pixels} px; about {_size(disk)} on disk, at most {_size(memory)} in memory"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{math.ceil(num_bytes / 1e6)} MB"
