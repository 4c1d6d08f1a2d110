"""The raw outcomes of the rows shown as CSV, from which their intervals can be computed again; and a few numbers for DVC.

Distances of sets of clips (FVD) are of no clip: they stay in ``sets.parquet``.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from worldvla.files import write_json
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.effects import rate
from worldvla.reporting.inputs.clips import VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, in_order
from worldvla.reporting.pages.table4 import summary

EPISODE = ("variant", "suite", "training", "task", "init_state", "success", "num_steps", "policy_failures")
CLIP = ("source", "actions", "horizon", "task", "demo")


def write(folder: Path, inputs: Inputs) -> None:
    """Write ``episodes.csv``, ``trainings.csv``, ``clips.csv`` and ``metrics.json``.

    Success is 1 or 0, a rate in percent; scores are those of clips.parquet, without a factor.
    """
    runs = inputs.rollouts.read
    episodes = [{**row, "variant": run.variant, "success": int(row["success"])} for run in runs for row in run.rows]
    _write(folder / "episodes.csv", EPISODE, episodes)
    trainings = []
    for run in runs:
        for number, percent in run.rates().items():
            outcomes = [row["success"] for row in run.rows if row["training"] == number]
            own = {"variant": run.variant, "suite": run.suite, "training": number, "run": run.parts[number].name}
            trainings.append(own | {"successes": sum(outcomes), "episodes": len(outcomes), "percent": f"{percent:.4f}"})
    columns = ("variant", "suite", "training", "run", "successes", "episodes", "percent")
    _write(folder / "trainings.csv", columns, trainings)
    clips = [
        {"suite": name} | row
        for name, one in inputs.metrics.items()
        if isinstance(one, VideoMetrics)
        for row in one.clips
    ]
    scores = [name for name in (clips[0] if clips else ()) if name not in (*CLIP, "suite", "language")]
    _write(folder / "clips.csv", ("suite", *CLIP, *scores), clips)
    success = {
        suite: {
            name: round(rate([run]), 1)
            for row in RATES["table3"]["rows"]
            for name in [row["variant"]]
            if not isinstance(run := inputs.rollouts.run(name, suite), Absent)
        }
        for suite in in_order(inputs.params.suites)
    }
    psnr = f"psnr_{max(inputs.params.horizons)}_frames"
    write_json(folder / "metrics.json", {"success_percent": success, psnr: summary(inputs)})


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
