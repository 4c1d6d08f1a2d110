"""What the stage video_metrics left behind: scores of predicted validation clips, distances of sets, and films."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from worldvla.params.report import ReportParams
from worldvla.reporting.runs import Absent, in_order

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

    @property
    def models(self) -> list[str]:
        """Names of the variants that predicted the clips: the world model, the action world model, any others."""
        names = {row["source"] for row in self.clips} - {COPY.name, RECONSTRUCTION.name}
        known = [WORLD.name, ACTION_WORLD.name]
        return [name for name in known if name in names] + sorted(names - set(known))

    def scores(self, source: str, actions: str, horizon: int, column: str) -> Scores:
        """Return a column of clips.parquet by clip, in the order of tasks and demonstrations."""
        wanted = (source, actions, horizon)
        rows = [row for row in self.clips if (row["source"], row["actions"], row["horizon"]) == wanted]
        return dict(sorted(((row["task"], row["demo"]), row[column]) for row in rows))

    def distance(self, source: str, actions: str, horizon: int) -> dict[str, Any] | None:
        """Return the row of sets.parquet, or None."""
        wanted = (source, actions, horizon)
        rows = [row for row in self.sets if (row["source"], row["actions"], row["horizon"]) == wanted]
        return rows[0] if rows else None

    def frames(self, film: dict[str, Any], source: str) -> np.ndarray | None:
        """Return the frames of a film, uint8 [T, H, W, 3], or None if the source has none."""
        path = self.folder / "films" / str(film["number"]) / f"{source}.png"
        if not path.exists():
            return None
        with Image.open(path) as picture:
            tiled = np.asarray(picture.convert("RGB"))
        return np.stack(np.split(tiled, film["num_frames"], axis=1))


def read_video_metrics(videos: Path, params: ReportParams) -> dict[str, VideoMetrics | Absent]:
    """Return the scored clips of every suite, or why there are none; suites in the paper's order."""
    return {suite: _read(videos / suite, params, suite) for suite in in_order(params.suites)}


def _read(folder: Path, params: ReportParams, suite: str) -> VideoMetrics | Absent:
    planned = any(variant.generate for variant in params.variants.values())
    if not planned or not (folder / "clips.parquet").exists():
        return Absent(f"video_metrics@{suite}", planned)
    films = folder / "films" / "films.json"
    return VideoMetrics(
        suite,
        folder,
        pq.read_table(folder / "clips.parquet").to_pylist(),
        pq.read_table(folder / "sets.parquet").to_pylist(),
        json.loads(films.read_text(encoding="utf-8")) if films.exists() else [],
        json.loads((folder / "made_of.json").read_text(encoding="utf-8")),
    )


def sources(params: ReportParams, metrics: VideoMetrics | Absent) -> list[Source]:
    """Return the rows of table 4: the paper's two models, other models that predict, and the two baselines."""
    found = metrics.models if isinstance(metrics, VideoMetrics) else []
    planned = [name for name, variant in params.variants.items() if variant.generate]
    others = sorted({*found, *planned} - {WORLD.name, ACTION_WORLD.name})
    return [WORLD, ACTION_WORLD, *[Source(name, "true", f"`{name}`") for name in others], COPY, RECONSTRUCTION]
