"""A suite's filtered episodes made by hand, exported; and its dataset changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from worldvla.data import episodes
from worldvla.data.file_names import task_file
from worldvla.export import export
from worldvla.simulation.tasks import tasks

TASKS = tasks("mini", "goal")
PIXELS, DEMOS, STEPS = 16, 10, 6
FILTER = {"benchmark": "mini", "suite": "goal", "tasks": [0, 1, 2, 3], "looks": "simple", "pixels": PIXELS, "seed": 0}
DOWNLOAD = {
    "benchmark": "mini",
    "suite": "goal",
    "tasks": [0, 1, 2, 3],
    "demonstrations": "lerobot",
    "folder": "mine",
    "demonstrations_per_task": 10,
    "seed": 0,
    "digests": {},
}
DATA = "data/chunk-000/file-000.parquet"
LIST = "meta/episodes/chunk-000/file-000.parquet"


def filtered_episode(seed: int) -> episodes.FilteredEpisode:
    """An episode whose gripper closes in its middle, in front of a picture that changes smoothly."""
    random = np.random.default_rng(seed)
    length = STEPS + seed % 3
    closed = np.arange(length) >= length // 2
    actions = random.uniform(-1, 1, (length, 7)).astype(np.float32).astype(np.float64)
    actions[:, 6] = np.where(closed, 1.0, -1.0)
    gap = 0.04 - 0.01 * np.maximum(np.arange(length) - length // 2, 0)
    ramp = np.linspace(0, 120, PIXELS)[:, None] + np.linspace(0, 100, PIXELS)[None]
    frames = [np.stack([ramp + shift, ramp[::-1], ramp.T], -1) for shift in random.uniform(0, 30, length)]
    return episodes.FilteredEpisode(
        demo=f"demo_{seed}",
        actions=actions,
        states=random.normal(size=(length, 20)),
        robot_states=random.normal(size=(length, 9)),
        ee_states=random.normal(size=(length, 6)),
        gripper_states=np.stack([gap / 2, -gap / 2], 1),
        joint_states=random.normal(size=(length, 7)),
        frames=np.asarray(frames, np.uint8),
    )


def write_filtered(root: Path) -> None:
    """Write ``data/filtered/goal-main`` and its effective params."""
    folder = root / "data/filtered/goal-main"
    folder.mkdir(parents=True)
    rows = []
    for task in TASKS:
        with h5py.File(task_file(folder, task.name), "w") as file:
            data = file.create_group("data")
            data.attrs["language"] = task.language
            for number in range(DEMOS):
                one = filtered_episode(100 * task.index + number)
                episodes.write_episode(data, one)
                rows.append(
                    {"suite": "goal", "task": task.name, "task_index": task.index, "language": task.language}
                    | {"demo": one.demo, "kept": True, "reason": "kept", "num_raw_steps": len(one.actions)}
                    | {"num_noops": 0, "num_steps": len(one.actions)}
                )
            rows.append(rows[-1] | {"demo": f"demo_{100 * task.index + 50}", "kept": False})
    episodes.write_table(folder / "episodes.parquet", rows, episodes.EPISODES)
    (root / "data/resolved").mkdir()
    (root / "data/resolved/goal-main.yaml").write_text(yaml.safe_dump({"filter": FILTER}))


def exported(root: Path, *, video: bool = False) -> Path:
    """Export that suite to ``mine``; the current folder is ``root``."""
    write_filtered(root)
    export("goal", Path("mine"), video=video)
    return root / "mine"


def edit_info(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "meta/info.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)


def set_column(table: pa.Table, name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, kind or table.schema.field(name).type))
