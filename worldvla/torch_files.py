"""Files of ``torch.save`` that come from elsewhere."""

import pickle
import struct
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError

# What torch raises of bytes that are no checkpoint, or a damaged one: it runs what it takes for a program.
DAMAGED = (
    pickle.UnpicklingError,
    SafetensorError,  # torch reads their files too
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
)


def read_torch(path: Path, expected: str) -> object:
    """Return what is in a file that torch saved, tensors on the CPU; no code of the file's is run.

    Raises:
        ValueError: it is none, or a damaged one; ``expected`` ends the sentence.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED:
        size = f"{path.stat().st_size:,} bytes"
        raise ValueError(f"{path}: {size}, cut short, damaged or no file of weights; {expected}") from None
