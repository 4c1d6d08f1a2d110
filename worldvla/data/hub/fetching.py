"""Published files, fetched and verified: the one place where anything comes from the hub.

Files lie in the hub's own cache (``HF_HOME``, ``HF_HUB_CACHE``), in the folder of the pinned commit: what another tool put
there is used, and what is fetched here is there for others. Nothing is asked of the network that is there already.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from worldvla.data.hub import transfer
from worldvla.data.hub.published import File, Publication
from worldvla.files import FULL_DISK, file_digest
from worldvla.running.console import Progress

NUM_STREAMS = 8  # small files wait for answers more than for bytes


def fetch_files(publication: Publication, paths: Sequence[str], copies: Path | None = None) -> dict[str, Path]:
    """Return where some files of a publication lie, verified; download what is not there yet.

    An interrupted download goes on in the middle of the file that it was at.

    Args:
        publication: one with a table of files, or a listed one that is pinned (``listing.pinned``).
        paths: which of its files.
        copies: the folder that ``place`` will put them into: its disk is checked too if it cannot hold links to them. None:
            they are read where they are.

    Returns:
        Each file in the hub's cache, by its path in the repository: read it, never change it.

    Raises:
        ValueError: one sentence: no room, offline, out of reach, refused, or other bytes than the published.
    """
    known = {file.path: file for file in publication.files}
    if unknown := [path for path in paths if path not in known]:
        raise ValueError(
            f"{publication.repository}: '{unknown[0]}' is not among the {len(known)} files that are listed at "
            f"{publication.revision[:12]}; expected it there; correct worldvla/data/hub/, or {publication.instead}"
        )
    return _complete(publication, [known[path] for path in paths], copies or snapshot(publication))


def fetch_whole(publication: Publication, copies: Path) -> Path:
    """Return the folder in the hub's cache that holds a whole repository, verified by count, bytes and hash of its tree.

    Args:
        publication: one that names its whole.
        copies: the folder that ``place`` will put the files into.

    Raises:
        ValueError: as ``fetch_files``; or the tree is not the published one.
    """
    whole, store = publication.whole, snapshot(publication)
    assert whole is not None, f"{publication.repository}: repositories.yaml names no whole"
    if _outline(store) != (whole.files, whole.bytes):
        if constants.is_offline_mode():
            raise _offline(publication, f"{_outline(store)[0]} of {whole.files} files")
        files = transfer.list_files(publication)
        got = len(files), sum(file.bytes for file in files)
        if got != (whole.files, whole.bytes):
            raise ValueError(
                f"{publication.repository} lists {got[0]} files of {got[1]:,} bytes at {constants.ENDPOINT}; expected "
                f"{whole.files} of {whole.bytes:,}; check HF_ENDPOINT if it names a mirror, or {publication.instead}"
            )
        _complete(publication, files, copies)
    tree, outline = tree_digest(store), _outline(store)
    if (*outline, tree) != (whole.files, whole.bytes, whole.tree):
        raise ValueError(
            f"{store}: {outline[0]} files of {outline[1]:,} bytes, tree {tree[:12]}; expected {whole.files} of "
            f"{whole.bytes:,}, tree {whole.tree[:12]}; delete the folder and run the same command to fetch it again, or "
            f"{publication.instead}"
        )
    return store


def place(source: Path, target: Path) -> None:
    """Put a file of the hub's cache to another place: a hard link where the file system can, else a copy."""
    assert not target.exists(), f"{target} is there already"  # a copy could go through a link into the cache
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def snapshot(publication: Publication) -> Path:
    """Return the folder of a publication in the hub's cache, which may not exist."""
    name = repo_folder_name(repo_id=publication.repository, repo_type=publication.kind)
    return Path(constants.HF_HUB_CACHE) / name / "snapshots" / publication.revision


def tree_digest(folder: Path) -> str:
    """Return the sha256 over ``<path>\\0<sha256>\\n`` of a folder's files in hex, sorted by the parts of their paths.

    ``.gitattributes``, which the hub adds, does not count.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        if path.name != ".gitattributes":
            digest.update(f"{path.relative_to(folder).as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _outline(folder: Path) -> tuple[int, int]:
    """Return the number of files in a folder, and of their bytes."""
    files = _files(folder)
    return len(files), sum(path.stat().st_size for path in files)


def _complete(publication: Publication, files: Sequence[File], copies: Path) -> dict[str, Path]:
    """Verify the files that are in the cache, and download the others; return all by path."""
    store = snapshot(publication)
    there = [file for file in files if (store / file.path).is_file()]
    _verify(publication, there)
    total = sum(file.bytes for file in files)
    if len(there) == len(files):
        _check_room(publication, 0, total, copies)
        print(f"{publication.repository}: all {len(files)} files, {_gigabytes(total)}, are in {store}", flush=True)
        return {file.path: store / file.path for file in files}
    if constants.is_offline_mode():
        raise _offline(publication, f"{len(there)} of {len(files)} files")
    with _lock(publication):
        # Another process may have fetched some while this one waited.
        missing = [file for file in files if not (store / file.path).is_file()]
        _download(publication, missing, total, copies)
    return {file.path: store / file.path for file in files}


def _verify(publication: Publication, files: Sequence[File]) -> None:
    """Check the bytes of files that were in the cache before."""
    if not files:
        return
    for file in Progress(files, desc="verify", unit="file"):
        path = snapshot(publication) / file.path
        if fault := _fault(path, file):
            # Not deleted here: other programs may use the file.
            raise ValueError(
                f"{path}: {fault}; delete {path.resolve()} and run the same command to fetch it again, or "
                f"{publication.instead}"
            )


def _download(publication: Publication, files: Sequence[File], total: int, copies: Path) -> None:
    """Download files into the cache, several at a time."""
    store = snapshot(publication)
    partials = store.parents[1] / "partial" / publication.revision
    have = sum(min(transfer.size(partials / file.path), file.bytes) for file in files)
    need = sum(file.bytes for file in files) - have
    _check_room(publication, need, total, copies)
    free = shutil.disk_usage(_existing(store)).free
    print(
        f"{publication.repository}: {len(files)} files to fetch, {_gigabytes(need)} to go; {_gigabytes(free)} free in "
        f"{store}{'' if _links(store, copies) else f'; from there {_gigabytes(total)} are copied to another disk'}",
        flush=True,
    )
    stop, lock = threading.Event(), threading.Lock()
    desc = publication.repository.partition("/")[2]
    with (
        Progress(desc=desc, unit="B", unit_scale=True, total=need + have, initial=have) as bar,
        ThreadPoolExecutor(NUM_STREAMS) as pool,
    ):

        def report(num_bytes: int) -> None:
            with lock:
                bar.update(num_bytes)

        def fetch(file: File) -> None:
            if not stop.is_set():
                _fetch(publication, file, partials / file.path, report, stop)

        try:
            for future in as_completed([pool.submit(fetch, file) for file in files]):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(publication: Publication, file: File, partial: Path, report: transfer.Report, stop: threading.Event) -> None:
    """Download and verify one file; it appears in the cache whole or not at all."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    transfer.download(publication, file, partial, report, stop)
    if fault := _fault(partial, file):
        partial.unlink()
        raise ValueError(
            f"'{file.path}' of {publication.repository} at {constants.ENDPOINT}: {fault}; run the same command to fetch "
            f"it again, or {publication.instead}"
        )
    final = snapshot(publication) / file.path
    final.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(final)


def _fault(path: Path, file: File) -> str | None:
    """Return what is wrong with the bytes of a file, if anything."""
    num_bytes = path.stat().st_size
    if num_bytes != file.bytes:
        return f"{num_bytes:,} bytes; expected {file.bytes:,}"
    if file.sha256 and (got := file_digest(path)) != file.sha256:
        return f"sha256 {got}; expected {file.sha256}"
    if file.md5 and (got := hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()) != file.md5:
        return f"md5 {got}; expected {file.md5}"
    if file.blob and not file.sha256:
        content = path.read_bytes()
        got = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if got != file.blob:
            return f"git's hash {got}; expected {file.blob}"
    return None


def _check_room(publication: Publication, need: int, total: int, copies: Path) -> None:
    """Check that there is room for ``need`` bytes to download, and for copies of all if links to them will not do."""
    store = snapshot(publication)
    for folder, num_bytes in ((store, need), (copies, 0 if _links(store, copies) else total)):
        free = shutil.disk_usage(_existing(folder)).free
        if free < num_bytes:
            raise ValueError(
                f"{folder}: {_gigabytes(free)} free; expected {_gigabytes(num_bytes)} for {publication.repository}; free "
                f"some space, set HF_HOME to a folder on another disk, or {publication.instead}"
            )


def _links(store: Path, copies: Path) -> bool:
    """Return whether both folders are on one disk, so that ``place`` can link."""
    return _existing(store).stat().st_dev == _existing(copies).stat().st_dev


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _offline(publication: Publication, there: str) -> ValueError:
    return ValueError(
        f"{snapshot(publication)}: {there}, and HF_HUB_OFFLINE is set; expected all of them, or a connection; unset it and "
        f"run the same command, or {publication.instead}"
    )


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"


@contextmanager
def _lock(publication: Publication) -> Iterator[None]:
    """Let one process at a time download from a repository: two would append to the same files."""
    path = snapshot(publication).parents[1] / "partial" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}); expected a cache of the hub's to fetch {publication.repository} "
            f"into; set HF_HOME to a folder of yours, or {publication.instead}"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{publication.repository}: another process fetches from it; waiting", flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            print(f"{path}: no locks on this disk ({error.strerror}); let one process at a time fetch", flush=True)
        yield
