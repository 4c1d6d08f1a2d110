"""How episodes ended: the rows that a rollout leaves, its films, and what a person reads at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.metrics.success import wilson
from worldvla.simulation.lanes import Episode
from worldvla.simulation.milestones import Milestones
from worldvla.simulation.videos import video_name, write_video

EPISODES = pa.schema(
    [
        ("suite", pa.string()),
        ("task", pa.string()),
        ("task_index", pa.int32()),
        ("init_state", pa.int32()),
        ("success", pa.bool_()),
        ("num_steps", pa.int32()),
        ("policy_failures", pa.int32()),
        *((name, pa.int32()) for name in Milestones._fields),
    ]
)
FILM = pa.field("film", pa.binary())  # MP4, of those that were filmed


@dataclass(frozen=True, eq=False)
class Outcome:
    """How an episode ended."""

    episode: Episode
    success: bool
    num_steps: int  # actions executed
    policy_failures: int  # answers that were no chunk; the episode ends with the first
    milestones: Milestones
    film: np.ndarray | None = None  # uint8 [num_steps + 1, H, W, 3]


def write_unit(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write some episodes with their films into one parquet file, with the same bytes for the same outcomes."""
    rows = [
        {
            "suite": outcome.episode.task.suite,
            "task": outcome.episode.task.name,
            "task_index": outcome.episode.task.index,
            "init_state": outcome.episode.init_state,
            "success": outcome.success,
            "num_steps": outcome.num_steps,
            "policy_failures": outcome.policy_failures,
            **outcome.milestones._asdict(),
            "film": None if outcome.film is None else _encoded(outcome.film),
        }
        for outcome in outcomes
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=EPISODES.append(FILM)), path)


def _encoded(frames: np.ndarray) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_video(path, frames)
        return path.read_bytes()


def join_units(parts: Sequence[Path], folder: Path) -> list[dict[str, object]]:
    """Write ``episodes.parquet``, a row per episode, and the films as MP4 files; return the rows."""
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    for row in table.filter(table["film"].is_valid()).to_pylist():
        name = video_name(row["task_index"], row["init_state"], row["success"])
        (folder / name).write_bytes(row["film"])
    episodes = table.select(EPISODES.names).combine_chunks()
    pq.write_table(episodes, folder / "episodes.parquet")
    return episodes.to_pylist()


def describe(rows: Sequence[dict[str, object]], languages: dict[str, str]) -> str:
    """Return lines with successes and 95 % intervals, per task and together; ``languages`` are the tasks' instructions."""
    groups: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        groups.setdefault(languages[str(row["task"])], []).append(row)
    lines = []
    for name, group in [*groups.items(), ("all tasks", list(rows))]:
        successes = sum(bool(row["success"]) for row in group)
        low, high = wilson(successes, len(group))
        lines.append(f"{successes:4d}/{len(group):<4d} {low:6.1%} to {high:6.1%}  {name}")
    if failures := sum(bool(row["policy_failures"]) for row in rows):
        lines.append(f"{failures} episodes ended because the model's answer was no chunk of actions")
    return "\n".join(lines)
