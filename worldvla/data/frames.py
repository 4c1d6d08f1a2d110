"""Frames in HDF5: ordinary gzip-compressed datasets, which any HDF5 reader decodes, with the same bytes everywhere."""

import zlib
from dataclasses import dataclass

import h5py
import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Form:
    """How frames are cut into chunks and compressed."""

    frames: int  # of a chunk
    rows: int | None  # of each of its frames; None: all
    level: int  # of gzip


# As LIBERO's own tools would write them: a frame is a chunk.
RECORDED = Form(1, None, 1)
# The camera stands still. The 32 KB that deflate looks back hold the same rows of the frame before, so what does not move
# costs nearly nothing; a whole frame is longer than that. ``benchmarks/frames.py`` measures forms.
FILTERED = Form(16, 8, 6)
SHARE = 0.12  # of their size that filtered frames keep: 8 to 10 % of LIBERO's, 11 % of mini's

ZLIB_HEADERS = {1: b"\x78\x01", 6: b"\x78\x9c"}  # by level


def size_of(num_frames: int, pixels: int) -> int:
    """Return how many bytes frames are in memory."""
    return num_frames * pixels * pixels * 3


def write_frames(group: h5py.Group, name: str, frames: np.ndarray, form: Form) -> None:
    """Write uint8 ``[T, px, px, 3]`` frames, T at least 1; the same frames give the same bytes on every x86-64."""
    num_frames, height, width, channels = frames.shape
    shape = (min(form.frames, num_frames), min(form.rows or height, height), width, channels)
    stored = group.create_dataset(
        name,
        frames.shape,
        frames.dtype,
        chunks=shape,
        track_times=False,
        compression="gzip",
        compression_opts=form.level,
    )
    for start in range(0, num_frames, shape[0]):
        for top in range(0, height, shape[1]):
            part = frames[start : start + shape[0], top : top + shape[1]]
            chunk = np.zeros(shape, frames.dtype)  # HDF5 stores whole chunks, at the edges too
            chunk[: len(part), : part.shape[1]] = part
            stored.id.write_direct_chunk((start, top, 0, 0), _deflate(chunk.tobytes(), form.level))


def _deflate(content: bytes, level: int) -> bytes:
    """Return a zlib stream.

    Not HDF5's own: h5py's wheels use the system's zlib, and zlib-ng, which some systems have in its place, gives other
    bytes. pyarrow's wheels bring zlib with them.
    """
    packed = bytes(pa.Codec("gzip", compression_level=level).compress(content))
    # gzip's header and trailer, without names or times, are 10 and 8 bytes.
    return ZLIB_HEADERS[level] + packed[10:-8] + zlib.adler32(content).to_bytes(4, "big")
