"""Messages of openpi's protocol: msgpack, with arrays and scalars of numpy as maps with keys of bytes.

    array    {b"__ndarray__": True, b"data": bytes in C order, b"dtype": dtype.str, b"shape": [...]}
    scalar   {b"__npgeneric__": True, b"data": number or text, b"dtype": dtype.str}

Every message of either side is one binary frame; the server speaks first, of itself. A frame of text is an error, in words,
and the connection is closed behind it (1011).

Source: `openpi_client/msgpack_numpy.py` of openpi (15a9616), which refuses the types of numpy that this refuses. Deviation:
what comes from a client is checked before it becomes an array.
"""

import math
from typing import Any

import msgpack
import numpy as np

VERSION = "openpi/1"  # openpi's has no number; a client that says one says this
MAX_BYTES = 16 * 2**20  # of a client's message; twenty images of 512 px
KINDS = "biufSU"  # of numpy's types: truth, numbers and text; no objects, records or complex numbers


def pack(message: object) -> bytes:
    """Return the bytes of a message.

    Raises:
        ValueError: an array of a type that the protocol does not have.
    """
    packed = msgpack.packb(message, default=_as_map)
    assert packed is not None
    return packed


def unpack(content: bytes | str) -> Any:
    """Return the message of a frame.

    Raises:
        ValueError: one sentence: the frame is none of the protocol's.
    """
    if isinstance(content, str):
        raise ValueError(
            f"message: got {len(content)} characters of text; expected msgpack in a binary frame; see docs/serving.md"
        )
    try:
        return msgpack.unpackb(content, object_hook=_from_map)
    except _Unfit as error:
        raise ValueError(f"message: {error}") from None
    # msgpack's own errors, of which some are ValueErrors; a key that is a list; text that is no UTF-8.
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError, OverflowError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"message: {len(content):,} bytes that are no msgpack ({what}); expected an observation of openpi's protocol; see "
            "docs/serving.md"
        ) from None


class _Unfit(Exception):  # noqa: N818 - becomes one
    """An array or scalar that is none."""


def _as_map(value: object) -> dict[bytes, object]:
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"message: {type(value).__name__} has no form in msgpack")
    if value.dtype.kind not in KINDS:
        raise ValueError(f"message: an array of {value.dtype}; expected one of truth, numbers or text")
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}


def _from_map(value: dict[Any, Any]) -> Any:
    """Return the array or scalar that a map stands for; any other map as it is."""
    if b"__ndarray__" in value:
        dtype, shape, data = _dtype(value), value.get(b"shape"), value.get(b"data")
        if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
            raise _Unfit(f"an array of shape {str(shape)[:40]}; expected a list of sizes")
        num_bytes = math.prod(shape) * dtype.itemsize
        if not isinstance(data, bytes) or len(data) != num_bytes:
            got = f"{len(data):,} bytes" if isinstance(data, bytes) else "no bytes"
            raise _Unfit(f"an array {dtype} {shape} of {got}; expected {num_bytes:,}")
        return np.ndarray(shape, dtype, data)  # read-only, and no copy
    if b"__npgeneric__" in value:
        dtype, data = _dtype(value), value.get(b"data")
        try:
            return dtype.type(data)
        except (TypeError, ValueError, OverflowError):
            raise _Unfit(f"a scalar of {dtype} that is {str(data)[:40]!r}; expected a value of that type") from None
    return value


def _dtype(value: dict[Any, Any]) -> np.dtype[Any]:
    name = value.get(b"dtype")
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in KINDS:
        raise _Unfit(f"an array of type {str(name)[:40]!r}; expected one of truth, numbers or text")
    return dtype
