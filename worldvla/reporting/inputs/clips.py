"""What the stage video_metrics left behind: scores of predicted validation clips, distances of sets, and films."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from worldvla.params.report import ReportParams
from worldvla.params.trainings import model_name, run_name
from worldvla.reporting.inputs.runs import Absent, in_order, unlike_trainings

FVD = "FVD"  # the extractor's name where the verified weights were used; any other name is a substitute

Clip = tuple[str, str]  # task and demonstration
Scores = Mapping[Clip, float | None]  # None: not computed


@dataclass(frozen=True)
class Source:
    """Where frames come from, and what it is called in a table."""

    name: str
    actions: str
    label: str
    paper: str = ""  # the row of the paper's table 4


WORLD = Source("world", "true", "world model", "world_model")
ACTION_WORLD = Source("action_world_chunk_mask", "true", "action world model", "action_world_model")
COPY = Source("copy", "none", "copy of the given frame")
RECONSTRUCTION = Source("reconstruction", "none", "tokenizer's reconstruction (ceiling)")


@dataclass(frozen=True)
class VideoMetrics:
    """The scored clips of one suite."""

    suite: str
    folder: Path
    clips: list[dict[str, Any]]  # rows of clips.parquet
    sets: list[dict[str, Any]]  # rows of sets.parquet
    films: list[dict[str, Any]]  # entries of films.json
    made_of: dict[str, str]  # sha256 by kind of input
    variants: Mapping[str, Sequence[int]]  # whose clips may be shown -> their trainings
    gaps: Mapping[str, Absent]  # variant -> why its clips may not be shown

    @property
    def models(self) -> list[str]:
        """Names of the variants that predicted the clips: the world model, the action world model, any others."""
        known = [WORLD.name, ACTION_WORLD.name]
        return [name for name in known if name in self.variants] + sorted(set(self.variants) - set(known))

    def trainings(self, variant: str) -> Sequence[int]:
        """Return the numbers of the trainings of a variant; none if it has no clips."""
        return self.variants.get(variant, ())

    def scores(self, source: str, actions: str, horizon: int, column: str) -> Scores:
        """Return a column of clips.parquet by clip, in the order of tasks and demonstrations.

        Of a variant it is the mean over its trainings, of a single training its own.
        """
        by_clip: dict[Clip, list[float | None]] = {}
        for row in self._rows(self.clips, source, actions, horizon):
            by_clip.setdefault((row["task"], row["demo"]), []).append(row[column])
        return {clip: _mean(values) for clip, values in sorted(by_clip.items())}

    def distance(self, source: str, actions: str, horizon: int) -> dict[str, Any] | None:
        """Return the row of sets.parquet, or None; of several trainings the means of their distances, without intervals."""
        rows = self._rows(self.sets, source, actions, horizon)
        if len(rows) < 2:
            return rows[0] if rows else None
        means = {name: _mean([row[name] for row in rows]) for name in ("distance", "upstream_distance")}
        return rows[0] | means | {"low": None, "high": None}

    def _rows(self, rows: list[dict[str, Any]], source: str, actions: str, horizon: int) -> list[dict[str, Any]]:
        """Return the rows of a source, those of all trainings of a variant."""
        names = [model_name(source, number) for number in self.trainings(source)] or [source]
        return [
            row for row in rows if row["source"] in names and (row["actions"], row["horizon"]) == (actions, horizon)
        ]

    def frames(self, film: dict[str, Any], source: str) -> np.ndarray | None:
        """Return the frames of a film, uint8 [T, H, W, 3], or None if the source has none; of a variant its first training's."""
        name = model_name(source, self.trainings(source)[0]) if self.trainings(source) else source
        path = self.folder / "films" / str(film["number"]) / f"{name}.png"
        if not path.exists():
            return None
        with Image.open(path) as picture:
            tiled = np.asarray(picture.convert("RGB"))
        return np.stack(np.split(tiled, film["num_frames"], axis=1))


def read_video_metrics(videos: Path, params: ReportParams) -> dict[str, VideoMetrics | Absent]:
    """Return the scored clips of every suite, or why there are none; suites in the paper's order."""
    return {suite: _read(videos / suite, params, suite) for suite in in_order(params.suites)}


def _read(folder: Path, params: ReportParams, suite: str) -> VideoMetrics | Absent:
    asked = {name: variant.trainings for name, variant in params.variants.items() if variant.generate}
    planned = bool(asked)
    if not planned or not (folder / "clips.parquet").exists():
        return Absent(f"video_metrics@{suite}", planned)
    films = folder / "films" / "films.json"
    models = json.loads((folder / "models.json").read_text(encoding="utf-8"))
    gaps = {name: fault for name, numbers in asked.items() if (fault := _fault(name, suite, numbers, models))}
    return VideoMetrics(
        suite,
        folder,
        pq.read_table(folder / "clips.parquet").to_pylist(),
        pq.read_table(folder / "sets.parquet").to_pylist(),
        json.loads(films.read_text(encoding="utf-8")) if films.exists() else [],
        json.loads((folder / "made_of.json").read_text(encoding="utf-8")),
        {name: numbers for name, numbers in asked.items() if name not in gaps},
        gaps,
    )


def _fault(variant: str, suite: str, numbers: Sequence[int], models: Mapping[str, dict[str, str]]) -> Absent | None:
    """Return why the clips of a variant may not be shown: a training has none, or one was made otherwise than another."""
    stages = {number: f"generate@{run_name(variant, suite, number)}" for number in numbers}
    if missing := [stage for number, stage in stages.items() if model_name(variant, number) not in models]:
        return Absent(" ".join(missing), planned=True)
    if unlike := unlike_trainings({number: models[model_name(variant, number)] for number in numbers}):
        first, second, what = unlike
        differ = f"refused: trainings {first} and {second} differ in {what}"
        return Absent(f"{stages[first]} {stages[second]}", planned=True, gap=differ)
    return None


def gap(params: ReportParams, metrics: VideoMetrics, variant: str) -> Absent:
    """Return why a variant has no clips in the scores of a suite."""
    planned = variant in params.variants and params.variants[variant].generate
    return metrics.gaps.get(variant, Absent(f"generate@{variant}-{metrics.suite}", planned))


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if one was not computed."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def sources(params: ReportParams) -> list[Source]:
    """Return the rows of table 4: the paper's two models, other models that predict, and the two baselines."""
    planned = {name for name, variant in params.variants.items() if variant.generate}
    others = sorted(planned - {WORLD.name, ACTION_WORLD.name})
    return [WORLD, ACTION_WORLD, *[Source(name, "true", f"`{name}`") for name in others], COPY, RECONSTRUCTION]


def paper_horizons(params: ReportParams) -> dict[int, int]:
    """Return, for our shortest and our longest clips, the length in frames of the paper's: 10 and 50."""
    same = {horizon: horizon for horizon in params.horizons if horizon in (10, 50)}
    return {max(params.horizons): 50, min(params.horizons): 10} | same
