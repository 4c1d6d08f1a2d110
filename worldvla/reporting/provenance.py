"""From a number back to what made it: command, digests, commit, hardware and time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worldvla.params.trainings import run_name
from worldvla.reporting.clips import VideoMetrics
from worldvla.reporting.runs import Run

NOTHING = "No run has data yet."


def of_rollouts(runs: Sequence[Run], timing: Path) -> str:
    """Return a block of markdown with one item per training of a run, each once.

    Args:
        runs: the runs behind a table.
        timing: folder with ``<stage>/<run>.json``; a file that is absent makes 'unknown'.
    """
    items = []
    for name, part in {part.name: part for run in runs for part in run.parts.values()}.items():
        rollout = timing_of(timing, name, "rollout")
        released = part.made_of.get("released")
        kinds = ("params", "tokenizer", "weights") if released else ("params", "data", "tokenizer", "weights")
        digests = ", ".join(f"{kind} `{part.made_of[kind][:12]}`" for kind in kinds)
        training = "not trained here" if released else _training(timing, name)
        items.append(
            f"- `dvc repro {part.stage}`\n"
            f"{f'  - weights of {released}{chr(10)}' if released else ''}"
            f"  - sha256: {digests}\n"
            f"  - {part.made_of['simulator']}\n"
            f"  - commit {rollout['commit']}, {rollout['date']}\n"
            f"  - {training}, rollouts {duration(rollout)}, on {rollout['hardware']}"
        )
    return "\n".join(items) or NOTHING


def simulator(runs: Sequence[Run]) -> str:
    """Return the sentence that names the simulator's packages with their versions; nothing without any run."""
    found = sorted({part.made_of["simulator"] for run in runs for part in run.parts.values()})
    return f"Simulated by {'; '.join(found)}." if found else ""


def of_clips(metrics: Sequence[VideoMetrics], timing: Path) -> str:
    """Return a block of markdown with one item per suite whose clips were scored."""
    items = []
    for suite in metrics:
        record = timing_of(timing, suite.suite, "video_metrics")
        digests = ", ".join(f"{kind} `{digest[:12]}`" for kind, digest in sorted(suite.made_of.items()))
        items.append(
            f"- `dvc repro video_metrics@{suite.suite}`\n"
            f"  - sha256: {digests}\n"
            f"  - commit {record['commit']}, {record['date']}\n"
            f"  - scoring {duration(record)}, on {record['hardware']}"
        )
        for name in [run_name(variant, suite.suite, n) for variant in suite.models for n in suite.trainings(variant)]:
            generate = timing_of(timing, name, "generate")
            items.append(
                f"- `dvc repro generate@{name}`\n"
                f"  - commit {generate['commit']}, {generate['date']}\n"
                f"  - {_training(timing, name)}, generation {duration(generate)}, on {generate['hardware']}"
            )
    return "\n".join(items) or NOTHING


def _training(timing: Path, run: str) -> str:
    return f"training {duration(timing_of(timing, run, 'train', 'finetune'))}"


def timing_of(folder: Path, name: str, *stages: str) -> dict[str, Any]:
    """Return the record of the first of the stages that has one."""
    unknown = {"commit": "unknown", "date": "date unknown", "hardware": "unknown hardware", "seconds": None}
    for stage in stages:
        path = folder / stage / f"{name}.json"
        if path.exists():
            return unknown | json.loads(path.read_text(encoding="utf-8"))
    return unknown


def duration(record: dict[str, Any]) -> str:
    """Return the seconds of a record in words."""
    seconds = record["seconds"]
    if seconds is None:
        return "unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
