"""From a number back to what made it: command, digests, commit, hardware and time of each run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worldvla.reporting.runs import Run


def provenance(runs: Sequence[Run], timing: Path) -> str:
    """Return a block of markdown with one item per run.

    Args:
        runs: the runs behind a table.
        timing: folder with ``<stage>/<run>.json``; a file that is absent makes 'unknown'.
    """
    items = []
    for run in runs:
        rollout, train = _timing(timing, "rollout", run.name), _timing(timing, "train", run.name)
        digests = ", ".join(f"{kind} `{run.made_of[kind][:12]}`" for kind in ("params", "data", "tokenizer", "weights"))
        items.append(
            f"- `dvc repro rollout@{run.name}`\n"
            f"  - sha256: {digests}\n"
            f"  - commit {rollout['commit']}, {rollout['date']}\n"
            f"  - training {_duration(train)}, rollouts {_duration(rollout)}, on {rollout['hardware']}"
        )
    return "\n".join(items)


def _timing(folder: Path, stage: str, run: str) -> dict[str, Any]:
    unknown = {"commit": "unknown", "date": "date unknown", "hardware": "unknown hardware", "seconds": None}
    path = folder / stage / f"{run}.json"
    return unknown | json.loads(path.read_text(encoding="utf-8")) if path.exists() else unknown


def _duration(record: dict[str, Any]) -> str:
    seconds = record["seconds"]
    if seconds is None:
        return "unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
