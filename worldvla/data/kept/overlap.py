"""Which published demonstrations a filter kept, beside what OpenVLA's kept.

``openvla.tsv`` is a table of ``suite`` (LIBERO's name), ``task``, ``kept`` (how many) and ``dropped`` (numbers of
demonstrations, with commas), one row per task. OpenVLA's filter has its own rule for no-ops; what it kept was found by
matching the actions of its published data (HuggingFaceVLA/libero) with those of LIBERO's files, by the project
seungjae5044/duo-vla (commit 1c55799).
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from worldvla.data.hub import published

OPENVLA = Path(__file__).parent / "openvla.tsv"

Demonstration = tuple[str, str]  # task, "demo_7"


def read_kept(suite: str) -> set[Demonstration]:
    """Return the demonstrations of a suite ("libero_goal") that OpenVLA's list keeps."""
    kept: set[Demonstration] = set()
    with OPENVLA.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["suite"] == suite:
                dropped = {int(number) for number in row["dropped"].split(",") if number}
                numbers = set(range(int(row["kept"]) + len(dropped))) - dropped
                kept |= {(row["task"], f"demo_{number}") for number in numbers}
    return kept


def overlap(rows: Iterable[Mapping[str, Any]], listed: set[Demonstration]) -> tuple[int, int, int]:
    """Return how many demonstrations were kept by a filter, by a list, and by both, of the tasks that the filter saw.

    Args:
        rows: of ``episodes.parquet``: task, demo, kept; a suite may be cut to some of its tasks.
        listed: what the list keeps.
    """
    rows = list(rows)
    tasks = {row["task"] for row in rows}
    theirs = {(task, demo) for task, demo in listed if task in tasks}
    ours = {(row["task"], row["demo"]) for row in rows if row["kept"]}
    return len(ours), len(theirs), len(ours & theirs)


def compare(rows: Iterable[Mapping[str, Any]], digests: Iterable[str]) -> list[str]:
    """Return a line that compares with OpenVLA's list if the demonstrations are the published ones; else nothing.

    Args:
        rows: of ``episodes.parquet``, of one suite.
        digests: the sha256 of the suite's raw files, which tell whether they are the published ones, wherever they
            came from.
    """
    suites = {file.sha256: Path(file.path).parent.name for file in published.load("demonstrations").files}
    found = {suites.get(digest) for digest in digests}
    if len(found) != 1 or None in found:
        return []
    (suite,) = found
    ours, theirs, both = overlap(rows, read_kept(str(suite)))
    return [f"kept {ours}; OpenVLA's list keeps {theirs}; {both} in both"]
