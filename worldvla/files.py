"""Outputs that appear whole or not at all, and digests of files and values."""

import contextlib
import errno
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

# Errors of a disk that takes no more: full, a quota, a limit on the size of files.
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

PROCESS = secrets.token_hex(4)  # in the names of files that are not whole yet: on a shared disk pids are not unique


@contextlib.contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield a scratch folder beside ``final`` that replaces it only if the block succeeds."""
    scratch = final.with_name(f".{final.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    yield scratch
    shutil.rmtree(final, ignore_errors=True)
    scratch.rename(final)


@contextlib.contextmanager
def atomic_file(final: Path) -> Iterator[Path]:
    """Yield a scratch path beside ``final`` that replaces it only if the block succeeds."""
    final.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers choose their format by it.
    scratch = final.with_name(f".partial-{PROCESS}-{final.name}")
    try:
        yield scratch
        scratch.replace(final)
    finally:
        scratch.unlink(missing_ok=True)


def write_text(final: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(final) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(final: Path, value: object) -> None:
    """Write JSON atomically: sorted keys, two-space indent, a final newline."""
    write_text(final, json.dumps(value, indent=2, sort_keys=True) + "\n")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the sha256 over the relative paths and contents of every file of a folder, in hex."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return value_digest([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])


def value_digest(value: object) -> str:
    """Return the sha256 of a JSON-serialisable value in canonical form, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
