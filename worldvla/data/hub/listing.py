"""A repository as the hub lists it: the commit that its branch is at, and its files with bytes and hashes.

For publications whose files nobody has listed beforehand. What was asked once is kept in the hub's cache, the commit where
the hub's own tools keep it (``refs/<branch>``): a commit's files never change, and without a connection they are all there
is to go by.
"""

import contextlib
import dataclasses
import errno
import json
import re
from pathlib import Path

from huggingface_hub import constants

from worldvla.data.hub import fetching, transfer
from worldvla.data.hub.published import File, Publication
from worldvla.files import write_text


def pinned(publication: Publication) -> Publication:
    """Return a listed publication at the commit that its branch is at, with its files: what ``fetch_files`` takes.

    The hub is asked once: from then on the branch is where the hub's cache says that it is (``refs/``), so that all runs have
    the same files, with a connection and without. Deleting that file asks again.

    Raises:
        ValueError: one sentence: the hub is out of reach or refuses, or lists another file than the one that is known; or
            offline, and nothing is known here.
    """
    assert publication.listed is not None, f"{publication.repository}: repositories.yaml does not say listed"
    if re.fullmatch("[0-9a-f]{40}", publication.revision):
        return dataclasses.replace(publication, files=tuple(_known(publication, file) for file in _files(publication)))
    reference = fetching.snapshot(publication).parents[1] / "refs" / publication.revision
    if reference.is_file():
        commit = reference.read_text(encoding="utf-8").strip()
    elif constants.is_offline_mode():
        raise ValueError(
            f"{reference}: no such file, and HF_HUB_OFFLINE is set; expected the commit of {publication.repository}, or a "
            f"connection; unset it and run the same command, or {publication.instead}"
        )
    else:
        commit = transfer.commit(publication)
        _keep(reference, commit)
    at = dataclasses.replace(publication, revision=commit)
    return dataclasses.replace(at, files=tuple(_known(at, file) for file in _files(at)))


def _files(publication: Publication) -> list[File]:
    """Return what is listed at a commit: by an earlier run, by the hub, or by what its own tools have fetched."""
    store = fetching.snapshot(publication)
    kept = store.parents[1] / "listed" / f"{publication.revision}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):  # absent or damaged: asked for again
        return [File(**entry) for entry in json.loads(kept.read_text(encoding="utf-8"))]
    if constants.is_offline_mode():
        return [_cached(store, path) for path in sorted(store.rglob("*")) if path.is_file()]
    files = transfer.list_files(publication)
    _keep(kept, json.dumps([dataclasses.asdict(file) for file in files], indent=1))
    return list(files)


def _keep(path: Path, text: str) -> None:
    """Write into the hub's cache; one that may only be read can still have all files, and fetching says if it has not."""
    try:
        write_text(path, text)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise


def _cached(store: Path, path: Path) -> File:
    """Return a file of the hub's cache; a link of its own tools leads to a blob that is called by its hash."""
    name = path.resolve().name if path.is_symlink() else ""
    sha256, blob = (name if len(name) == length else None for length in (64, 40))
    return File(path.relative_to(store).as_posix(), path.stat().st_size, sha256, blob)


def _known(publication: Publication, file: File) -> File:
    """Return a file with the hash that was known of it before.

    Raises:
        ValueError: the hub lists another one.
    """
    kind, _, known = (publication.listed or {}).get(file.path, "").partition(":")
    if kind == "md5":
        return dataclasses.replace(file, md5=known)
    if not known or file.sha256 == known:
        return file
    if file.sha256 is not None:
        raise ValueError(
            f"'{file.path}' of {publication.repository} at {publication.revision[:12]}: sha256 {file.sha256}; expected "
            f"{known}; if the authors have put another file there, correct worldvla/data/hub/repositories.yaml, or "
            f"{publication.instead}"
        )
    return dataclasses.replace(file, sha256=known)
