"""Predicted clips as the stage generate leaves them: token shards with true and with shuffled actions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worldvla.data.episodes import read_table
from worldvla.data.shards import TokenizedEpisode, read_shards

CLIPS = pa.schema([("task", pa.string()), ("demo", pa.string()), ("code_accuracy", pa.float64())])
REMEDY = "run: dvc repro generate"
MADE_OF = "made_of.json"  # of each model: sha256 of what made it and its clips


@dataclass(frozen=True)
class Generated:
    """The predictions of one model."""

    name: str
    clips: list[TokenizedEpisode]  # with true actions
    true: NDArray[np.uint16]  # codes [clips, T, n]; the first frame is the given one
    shuffled: NDArray[np.uint16]
    code_accuracy: list[float]  # share of the codes that are right when everything before them is the truth


def read_generated(folder: Path, names: Iterable[str], num_frames: int) -> list[Generated]:
    """Return the predictions of models of a suite, all of the same clips.

    What else lies in the folder, as of a model that is not asked for any more, is left alone.

    Raises:
        ValueError: one is missing, incomplete or shorter than ``num_frames``, or they are of different clips.
    """
    models = [_read(folder / name, num_frames) for name in names]
    for model in models:
        if [(clip.task, clip.demo) for clip in model.clips] != [(clip.task, clip.demo) for clip in models[0].clips]:
            raise ValueError(f"{folder}: {model.name} and {models[0].name} predict different clips; {REMEDY}")
    return models


def _read(folder: Path, num_frames: int) -> Generated:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no predictions here; {REMEDY}")
    true, shuffled = read_shards(folder / "true"), read_shards(folder / "shuffled")
    rows = read_table(folder / "clips.parquet", CLIPS, REMEDY)
    for clip in (*true, *shuffled):
        if len(clip.codes) < num_frames:
            raise ValueError(
                f"{folder}: the clip {clip.task}/{clip.demo} has {len(clip.codes)} frames, expected at least {num_frames}; "
                f"{REMEDY}"
            )
    if not len(true) == len(shuffled) == len(rows):
        raise ValueError(
            f"{folder}: {len(true)} clips with true actions, {len(shuffled)} with shuffled ones, {len(rows)} rows in "
            f"clips.parquet; expected as many of each; {REMEDY}"
        )
    return Generated(
        folder.name,
        true,
        np.stack([clip.codes[:num_frames] for clip in true]),
        np.stack([clip.codes[:num_frames] for clip in shuffled]),
        [row["code_accuracy"] for row in rows],
    )
