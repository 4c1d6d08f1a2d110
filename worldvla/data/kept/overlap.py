"""Which published demonstrations a filter kept, beside lists of what others kept.

A list is a table of ``suite`` (LIBERO's name), ``task``, ``kept`` (how many) and ``dropped`` (numbers of demonstrations,
with commas), one row per task. ``openvla.tsv`` is what OpenVLA's filter kept, with its own rule for no-ops: found by
matching the actions of its published data (HuggingFaceVLA/libero) with those of LIBERO's files, by the project
seungjae5044/duo-vla (commit 1c55799). ``ours.tsv``, once somebody has filtered the published demonstrations with this repository and added
it, is what it must keep again.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from worldvla.data.hub import published

FOLDER = Path(__file__).parent
LISTS = {"OpenVLA's list": FOLDER / "openvla.tsv", "our frozen list": FOLDER / "ours.tsv"}

Demonstration = tuple[str, str]  # task, "demo_7"


def read_kept(path: Path, suite: str) -> set[Demonstration]:
    """Return the demonstrations of a suite ("libero_goal") that a list keeps."""
    kept: set[Demonstration] = set()
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["suite"] == suite:
                dropped = {int(number) for number in row["dropped"].split(",") if number}
                numbers = set(range(int(row["kept"]) + len(dropped))) - dropped
                kept |= {(row["task"], f"demo_{number}") for number in numbers}
    return kept


def overlap(rows: Iterable[Mapping[str, Any]], listed: set[Demonstration]) -> tuple[int, int, int]:
    """Return how many demonstrations were kept by a filter, by a list, and by both.

    Args:
        rows: of ``episodes.parquet``: task, demo, kept.
        listed: what the list keeps.
    """
    kept = {(row["task"], row["demo"]) for row in rows if row["kept"]}
    return len(kept), len(listed), len(kept & listed)


def compare(rows: Sequence[Mapping[str, Any]], digests: Iterable[str], lists: Mapping[str, Path] = LISTS) -> list[str]:
    """Return a line for each list of what others kept, if the demonstrations are the published ones; else nothing.

    Args:
        rows: of ``episodes.parquet``, of one suite.
        digests: the sha256 of the suite's raw files, which tell whether they are the published ones, wherever they
            came from.
        lists: the tables by name; one that is not there is left out.
    """
    suites = {file.sha256: Path(file.path).parent.name for file in published.load("demonstrations").files}
    found = {suites.get(digest) for digest in digests}
    if len(found) != 1 or None in found:
        return []
    (suite,) = found
    counts = {name: overlap(rows, read_kept(path, str(suite))) for name, path in lists.items() if path.is_file()}
    return [f"kept {ours}; {name} keeps {theirs}; {both} in both" for name, (ours, theirs, both) in counts.items()]
