"""What is published on the hub, as ``repositories.yaml`` and the tables beside it say."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class File:
    """A file of a repository."""

    path: str  # "libero_goal/turn_on_the_stove_demo.hdf5"
    bytes: int
    sha256: str | None  # of its content; None: not known
    blob: str | None = None  # git's own hash of its content, which the hub lists for small files
    md5: str | None = None  # where others have published that alone


@dataclass(frozen=True)
class Whole:
    """What a repository holds in all at the pinned revision."""

    files: int
    bytes: int
    tree: str  # sha256 over paths and sha256 of the files (``fetching.tree_digest``)


@dataclass(frozen=True)
class Publication:
    """A repository at one commit, and what of it is wanted: the files of a table, the whole, or what the hub lists."""

    repository: str  # "yifengzhu-hf/LIBERO-datasets"
    kind: Literal["dataset", "model"]
    # The commit, so that nothing changes under its name; of a listed one a branch, until `listing.pinned` has asked.
    revision: str
    instead: str  # the end of a sentence: what to do without the hub
    files: tuple[File, ...] = ()
    whole: Whole | None = None
    listed: Mapping[str, str] | None = (
        None  # hashes that are known of some files, by path: "sha256:4ede...", "md5:170a..."
    )


def load(name: str) -> Publication:
    """Return an entry of ``repositories.yaml``, its files in the order of their table."""
    entry = yaml.safe_load((FOLDER / "repositories.yaml").read_text(encoding="utf-8"))[name]
    if "files" in entry:
        entry["files"] = _read_table(FOLDER / entry["files"])
    if "whole" in entry:
        entry["whole"] = Whole(**entry["whole"])
    return Publication(**entry)


def _read_table(path: Path) -> tuple[File, ...]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return tuple(File(row["path"], int(row["bytes"]), row["sha256"] or None) for row in rows)
