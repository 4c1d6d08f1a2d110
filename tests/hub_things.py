"""What the hub on this machine has in the tests of fetching, and how it is asked for."""

import hashlib
from pathlib import Path

import numpy as np
from hub_server import REPOSITORY, REVISION

from worldvla.data.hub import fetching
from worldvla.data.hub.published import File, Publication, Whole

FILES = {
    ".gitattributes": b"*.bin filter=lfs",
    "scenes/table.bin": np.random.default_rng(0).bytes(300_000),
    "scenes/table.xml": b"<mujoco/>",
    "scenes.txt": b"after the folder by its letters, before it by its parts",
}
BIG = "scenes/table.bin"
INSTEAD = "bring the files yourself"


def publication(files: dict[str, bytes] = FILES) -> Publication:
    table = tuple(File(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items())
    return Publication(REPOSITORY, "dataset", REVISION, INSTEAD, files=table)


def whole_publication() -> Publication:
    tree = hashlib.sha256()
    for path in ("scenes/table.bin", "scenes/table.xml", "scenes.txt"):
        tree.update(f"{path}\0{hashlib.sha256(FILES[path]).hexdigest()}\n".encode())
    whole = Whole(len(FILES), sum(map(len, FILES.values())), tree.hexdigest())
    return Publication(REPOSITORY, "dataset", REVISION, INSTEAD, whole=whole)


def partial_file(path: str = BIG) -> Path:
    """Return where the part of a file lies that an interrupted download has left; its folder is there."""
    partial = fetching.snapshot(publication()).parents[1] / "partial" / REVISION / path
    partial.parent.mkdir(parents=True, exist_ok=True)
    return partial


def fetch(tmp_path: Path, *paths: str) -> dict[str, Path]:
    return fetching.fetch_files(publication(), paths or (BIG,), tmp_path)


def fetch_whole(tmp_path: Path) -> Path:
    return fetching.fetch_whole(whole_publication(), tmp_path)
