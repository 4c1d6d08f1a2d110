"""From a number back to what made it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def link(text: object, run: str) -> str:
    """Return words that lead to a run on the page of the runs."""
    return f"[{text}](runs.md#{run})"


def timing_of(folder: Path, name: str, *stages: str) -> dict[str, Any]:
    """Return the record of the first of the stages that has one."""
    unknown = {"commit": "unknown", "date": "date unknown", "hardware": "unknown hardware", "seconds": None}
    for stage in stages:
        path = folder / stage / f"{name}.json"
        if path.exists():
            return unknown | json.loads(path.read_text(encoding="utf-8"))
    return unknown


def duration(record: Mapping[str, Any]) -> str:
    """Return the seconds of a record in words."""
    seconds = record["seconds"]
    if seconds is None:
        return "unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
