"""HDF5 with types and with errors that name the file."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from worldvla.files import atomic_file


@contextlib.contextmanager
def open_hdf5(path: Path, remedy: str) -> Iterator[h5py.File]:
    """Yield an HDF5 file for reading, and nothing else than that; ``remedy`` ends the message where another file would help.

    Raises:
        ValueError: the file is missing, open for writing elsewhere, unreadable, truncated, damaged, or no HDF5 file.
    """
    with _open(path, remedy) as file:
        try:
            yield file
        except (OSError, RuntimeError) as error:  # HDF5's own, of what it finds on the way
            raise ValueError(f"{path}: {_why_not_open(path, error, remedy)}") from None


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file to fill, which is made in memory and then written: where the disk is full HDF5 ends the process.

    For files of some MB. The same content gives the same bytes.

    Raises:
        OSError: it cannot be written, e.g. to a full disk.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        content = file.id.get_file_image()
    with atomic_file(path) as scratch:
        scratch.write_bytes(content)


def _open(path: Path, remedy: str) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected demonstrations in LIBERO's HDF5 layout; {remedy}") from None
    except OSError as error:
        raise ValueError(f"{path}: {_why_not_open(path, error, remedy)}") from None


def _why_not_open(path: Path, error: OSError | RuntimeError, remedy: str) -> str:
    """Return why HDF5 could not read a file that is there, what was expected, and what to do."""
    told, number = str(error), error.errno if isinstance(error, OSError) else None
    if "unable to lock file" in told and number in (errno.EAGAIN, errno.EACCES):
        return "another process has it open for writing; expected a finished file; close it there, then run again"
    if "unable to lock file" in told:
        return (
            f"its file system has no locks ({os.strerror(number or 0)}); expected one with them; set "
            "HDF5_USE_FILE_LOCKING=FALSE, then run again"
        )
    if "already open for write" in told:
        return (
            "marked as open for writing; expected a finished file; wait until its writer is done, or, if that was "
            f"killed, run: h5clear -s {path}"
        )
    if number is not None:
        return (
            f"cannot be read ({os.strerror(number)}); expected a readable HDF5 file; check its permissions and its "
            "disk, then run again"
        )
    if path.stat().st_size == 0:
        got = "an empty file"
    elif "truncated" in told:
        got = "a truncated HDF5 file"
    else:
        got = "a damaged HDF5 file" if h5py.is_hdf5(path) else "not an HDF5 file"
    return f"{got}; expected a whole file in LIBERO's layout; {remedy}"


def member(parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return what a group holds by a name such as "obs/ee_pos", soft links followed; None if there is nothing.

    Raises:
        ValueError: the data is not in this file: a link to nowhere, or to another file, which a copy would leave behind.
    """
    first, _, rest = name.partition("/")
    link = parent.get(first, getlink=True)
    if link is None:
        return None
    file = parent.file.filename
    where = f"{file}: '{f'{parent.name}/{first}'.lstrip('/')}'"
    try:
        found = parent.get(first)
    except RuntimeError:  # a link to itself
        found = None
    if found is None and isinstance(link, h5py.SoftLink):
        raise ValueError(f"{where} is a link to '{link.path}', where nothing is; expected data there; repair the link")
    if found is None or found.file.filename != file or (isinstance(found, h5py.Dataset) and _outside(found)):
        target = f"'{link.filename}'" if isinstance(link, h5py.ExternalLink) else "another file"
        raise ValueError(
            f"{where} is in {target}; expected the data in the file itself, as only that is copied; put it there, e.g. "
            "with h5copy -f ext"
        )
    if not rest:
        return found
    return member(found, rest) if isinstance(found, h5py.Group) else None


def _outside(found: h5py.Dataset) -> bool:
    """Return whether a dataset's values are stored in other files."""
    return bool(found.external) or (
        found.is_virtual and any(source.file_name != "." for source in found.virtual_sources())
    )


def subgroup(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group inside another; a KeyError if there is none of that name."""
    found = member(parent, name)
    if not isinstance(found, h5py.Group):
        raise KeyError(name)
    return found


def dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset inside a group; a KeyError if there is none of that name."""
    found = member(parent, name)
    if not isinstance(found, h5py.Dataset):
        raise KeyError(name)
    return found


def read_array(parent: h5py.Group, name: str) -> np.ndarray:
    """Return a whole dataset; a KeyError if there is none of that name."""
    return np.asarray(dataset(parent, name)[()])


def text_attribute(parent: h5py.Group, name: str) -> str | None:
    """Return an attribute as text, whether its writer made it a string, bytes, or an array of either; None if empty."""
    value = parent.attrs.get(name)
    if value is None or isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":  # text as its bytes, one number each
        value = value.astype(np.uint8).tobytes()
    parts = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
    parts = [part.tobytes() if isinstance(part, np.void) else part for part in parts]
    text = "".join(part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in parts)
    return text.rstrip("\0") or None


def write_arrays(group: h5py.Group, arrays: Mapping[str, np.ndarray]) -> None:
    """Write datasets by name, e.g. "obs/ee_pos"; the same arrays give the same bytes."""
    for name, array in arrays.items():
        group.create_dataset(name, data=array, track_times=False)


def last_step(num_steps: int) -> np.ndarray:
    """Return LIBERO's rewards and dones: uint8 zeros with a final 1."""
    flags = np.zeros(num_steps, np.uint8)
    flags[-1] = 1
    return flags
