"""Frames in HDF5: an ordinary gzip-compressed dataset, in chunks that hold the same few rows of several frames.

The camera stands still. The 32 KB that deflate looks back hold the rows of the frame before, so what does not move costs
nearly nothing; a chunk of one whole frame looks back into that frame alone. ``benchmarks/frames.py`` measures forms.
"""

import zlib

import h5py
import numpy as np
import pyarrow as pa

FRAMES_PER_CHUNK = 16
ROWS_PER_CHUNK = 8
LEVEL = 6
SHARE = 0.12  # of their size that frames keep: 9 to 11 %, of LIBERO's and of mini's


def size_of(num_frames: int, pixels: int) -> int:
    """Return how many bytes frames are in memory."""
    return num_frames * pixels * pixels * 3


def write_frames(group: h5py.Group, name: str, frames: np.ndarray) -> None:
    """Write uint8 ``[T, px, px, 3]`` frames, T at least 1; the same frames give the same bytes on every x86-64."""
    num_frames, height, width, channels = frames.shape
    shape = (min(FRAMES_PER_CHUNK, num_frames), min(ROWS_PER_CHUNK, height), width, channels)
    stored = group.create_dataset(
        name, frames.shape, frames.dtype, chunks=shape, track_times=False, compression="gzip", compression_opts=LEVEL
    )
    for start in range(0, num_frames, shape[0]):
        for top in range(0, height, shape[1]):
            part = frames[start : start + shape[0], top : top + shape[1]]
            chunk = np.zeros(shape, frames.dtype)  # HDF5 stores whole chunks, at the edges too
            chunk[: len(part), : part.shape[1]] = part
            stored.id.write_direct_chunk((start, top, 0, 0), _deflate(chunk.tobytes()))


def _deflate(content: bytes) -> bytes:
    """Return a zlib stream of ``LEVEL``.

    Not HDF5's own: h5py's wheels use the system's zlib, and zlib-ng, which some systems have in its place, gives other
    bytes. pyarrow's wheels bring zlib with them.
    """
    packed = bytes(pa.Codec("gzip", compression_level=LEVEL).compress(content))
    # gzip's header and trailer, without names or times, are 10 and 8 bytes; zlib's name the level and the checksum.
    return b"\x78\x9c" + packed[10:-8] + zlib.adler32(content).to_bytes(4, "big")
