"""Every raw outcome as CSV, from which the intervals of the pages can be computed again; and a few numbers for DVC."""

import csv
from collections.abc import Collection, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from worldvla.files import write_json
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference.measured import rate
from worldvla.reporting.inputs.clips import VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, in_order
from worldvla.reporting.inputs.speed import read_speeds
from worldvla.reporting.pages.table4 import summary
from worldvla.simulation.milestones import Milestones

TRAINING = ("variant", "suite", "training", "run", "scored")
EPISODE = (*TRAINING, "task", "init_state", "success", "num_steps", "policy_failures", *Milestones._fields)
CLIP = ("suite", "source", "actions", "horizon")
QUERY = ("suite", "variant", "chunk", "round", "ms")


def write(folder: Path, inputs: Inputs) -> None:
    """Write ``episodes.csv``, ``trainings.csv``, ``clips.csv``, ``distances.csv``, ``queries.csv`` and ``metrics.json``.

    Success is 1 or 0, and so is what a page counts (``scored``); a rate is in percent; scores and distances are those of
    clips.parquet and sets.parquet, without a factor.
    """
    episodes = [
        {**row, "success": int(row["success"]), "scored": int(row["scored"])} for row in inputs.rollouts.outcomes()
    ]
    _write(folder / "episodes.csv", EPISODE, episodes)
    trainings = []
    for own, rows in groupby(sorted(episodes, key=_training), key=_training):
        outcomes = [row["success"] for row in rows]
        percent = f"{100 * sum(outcomes) / len(outcomes):.4f}"
        found = {"successes": sum(outcomes), "episodes": len(outcomes), "percent": percent}
        trainings.append(dict(zip(TRAINING, own, strict=True)) | found)
    _write(folder / "trainings.csv", (*TRAINING, "successes", "episodes", "percent"), trainings)
    scored = [one for one in inputs.metrics.values() if isinstance(one, VideoMetrics)]
    clips = [{"suite": one.suite} | row for one in scored for row in one.clips]
    sets = [{"suite": one.suite} | row for one in scored for row in one.sets]
    _write(folder / "clips.csv", dict.fromkeys((*CLIP, *(clips[0] if clips else ()))), clips)
    _write(folder / "distances.csv", dict.fromkeys((*CLIP, *(sets[0] if sets else ()))), sets)
    queries: list[dict[str, Any]] = [
        dict(zip(QUERY, (suite, name, timed.chunk, place, ms), strict=True))
        for suite in in_order(inputs.params.suites)
        if (speeds := read_speeds(inputs.speed, inputs.params, suite))
        for name, timed in speeds.policies.items()
        for place, ms in enumerate(timed.query_ms, start=1)
    ]
    _write(folder / "queries.csv", QUERY, queries)
    success = {
        suite: {
            name: round(rate(inputs.params, [run]).value, 1)
            for row in RATES["table3"]["rows"]
            for name in [row["variant"]]
            if not isinstance(run := inputs.rollouts.run(name, suite), Absent)
        }
        for suite in in_order(inputs.params.suites)
    }
    psnr = f"psnr_{max(inputs.params.horizons)}_frames"
    write_json(folder / "metrics.json", {"success_percent": success, psnr: summary(inputs)})


def _training(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column] for column in TRAINING)


def _write(path: Path, columns: Collection[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
