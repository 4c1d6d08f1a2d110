"""The columns of a LeRobot dataset's parquet files, and what ``datasets`` and pandas want to find in their schemas."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from worldvla.data.lerobot.info import ACTION, ACTION_WIDTH, IMAGE, LOOKS, STATE, STATE_WIDTH

# Of every dataset, and what each frame has beside its features.
COUNTERS = {name: pa.int64() for name in ("frame_index", "episode_index", "index", "task_index")}
AXES = ["x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3"]
NAMES = {STATE: [*AXES, "gripper", "gripper"], ACTION: [*AXES, "gripper"]}


def features(form: str, pixels: int, has_state: bool, looks: str, video: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``features`` of ``meta/info.json``.

    Args:
        form: "image" or "video".
        pixels: side of the frames.
        has_state: whether the frames come with the robot's state.
        looks: of the scenes.
        video: what lerobot notes of a video's stream.
    """
    image = {"dtype": form, "shape": [pixels, pixels, 3], "names": ["height", "width", "channel"]}
    vectors = {STATE: STATE_WIDTH} if has_state else {}
    vectors[ACTION] = ACTION_WIDTH
    found: dict[str, Any] = {IMAGE: image | {"info": {LOOKS: looks, **video}}}
    found |= {
        name: {"dtype": "float32", "shape": [width], "names": {"motors": NAMES[name]}}
        for name, width in vectors.items()
    }
    found["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    return found | {name: {"dtype": "int64", "shape": [1], "names": None} for name in COUNTERS}


def data_schema(described: Mapping[str, Any]) -> pa.Schema:
    """Return the schema of ``data/``, with the note by which ``datasets`` knows images and vectors."""
    fields, noted = [], {}
    for name, feature in described.items():
        if feature["dtype"] == "video":
            continue
        if feature["dtype"] == "image":
            fields.append((name, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
            noted[name] = {"_type": "Image"}
            continue
        kind, width = {"float32": pa.float32(), "int64": pa.int64()}[feature["dtype"]], feature["shape"][0]
        value = {"dtype": feature["dtype"], "_type": "Value"}
        fields.append((name, kind if width == 1 else pa.list_(kind, width)))
        noted[name] = value if width == 1 else {"feature": value, "length": width, "_type": "Sequence"}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": noted}})})


def tasks_table(instructions: list[str]) -> pa.Table:
    """Return ``meta/tasks.parquet``: lerobot reads it by pandas, with the instructions as the index."""
    table = pa.table({"task_index": pa.array(range(len(instructions)), pa.int64()), "task": instructions})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, kind, stored in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    noted = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(noted)})
