"""Writes a LeRobot dataset v3.0, episode by episode: ``data/``, ``videos/`` and ``meta/``, as lerobot 0.6.1 does.

meta/info.json  meta/stats.json  meta/tasks.parquet  meta/episodes/chunk-000/file-000.parquet
data/chunk-000/file-000.parquet                             a row per frame, a group of rows per episode
videos/observation.images.image/chunk-000/file-000.mp4      of the form "video"
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.data.lerobot import columns, info, pictures, statistics
from worldvla.files import write_json, write_text

FILES_PER_CHUNK = 1000
DATA_BYTES, VIDEO_BYTES = 100 * 2**20, 200 * 2**20  # of a file, about; an episode is in one file
COMPRESSION = "snappy"


class DatasetWriter:
    """A dataset that grows by episodes; nothing of ``meta/`` is there before ``close``."""

    def __init__(
        self,
        folder: Path,
        *,
        form: Literal["image", "video"],
        fps: int,
        pixels: int,
        has_state: bool,
        looks: str,
        data_bytes: int = DATA_BYTES,
        video_bytes: int = VIDEO_BYTES,
    ) -> None:
        self._folder, self._form, self._fps, self._pixels = folder, form, fps, pixels
        self._data_bytes, self._video_bytes = data_bytes, video_bytes
        described = (
            {"video.codec": pictures.codec_name(), "video.pix_fmt": pictures.PIXEL_FORMAT} if self._films else {}
        )
        described |= (
            {"video.fps": fps, "video.height": pixels, "video.width": pixels, "video.channels": 3} if described else {}
        )
        self._features = columns.features(form, pixels, has_state, looks, described)
        self._schema = columns.data_schema(self._features)
        self._instructions: list[str] = []
        self._episodes: list[dict[str, Any]] = []
        self._images: list[statistics.ImageCounts] = []
        self._numbers: list[dict[str, np.ndarray]] = []
        self._data: pq.ParquetWriter | None = None
        self._video: pictures.VideoWriter | None = None
        self._data_number = self._video_number = -1  # of the file that is written
        self._num_frames = 0

    @property
    def _films(self) -> bool:
        return self._form == "video"

    def write(self, instruction: str, frames: np.ndarray, actions: np.ndarray, state: np.ndarray | None) -> None:
        """Add an episode of T steps.

        Args:
            instruction: the task.
            frames: uint8 ``[T, px, px, 3]``, upright RGB, before each action.
            actions: ``[T, 7]``.
            state: ``[T, 8]``, or None where the dataset has none.
        """
        if instruction not in self._instructions:
            self._instructions.append(instruction)
        length, start, index = len(actions), self._num_frames, len(self._episodes)
        steps = np.arange(length)
        numbers = {info.STATE: state} if state is not None else {}
        numbers |= {info.ACTION: actions, "timestamp": steps / self._fps, "frame_index": steps}
        numbers |= {"episode_index": np.full(length, index), "index": start + steps}
        numbers["task_index"] = np.full(length, self._instructions.index(instruction))
        # Statistics are of what is stored: of float32.
        numbers = {name: _stored(array) for name, array in numbers.items()}
        row: dict[str, Any] = {"episode_index": index, "tasks": [instruction], "length": length}
        row |= self._write_data(numbers, frames)
        row |= {"dataset_from_index": start, "dataset_to_index": start + length}
        if self._films:
            row |= self._write_video(frames)
        counts = statistics.ImageCounts.of(frames)
        stats = {info.IMAGE: counts.stats()} | {name: statistics.of_numbers(array) for name, array in numbers.items()}
        row |= {f"stats/{name}/{one}": value for name, found in stats.items() for one, value in found.items()}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        self._episodes.append(row)
        self._images.append(counts)
        self._numbers.append(numbers)
        self._num_frames += length

    def _write_data(self, numbers: dict[str, np.ndarray], frames: np.ndarray) -> dict[str, int]:
        """Write an episode's rows, and return where they are."""
        arrays: dict[str, pa.Array] = {}
        size = 0
        for field in self._schema:
            if field.name == info.IMAGE:
                images = [
                    {"bytes": pictures.encode_png(frame), "path": f"frame-{n:06d}.png"}
                    for n, frame in enumerate(frames)
                ]
                size = sum(len(image["bytes"]) for image in images)
                arrays[field.name] = pa.array(images, field.type)
            else:
                flat = pa.array(numbers[field.name].ravel())
                width = field.type.list_size if pa.types.is_fixed_size_list(field.type) else 1
                arrays[field.name] = pa.FixedSizeListArray.from_arrays(flat, type=field.type) if width > 1 else flat
        if self._data is None or _size(self._path(info.DATA_PATH, self._data_number)) + size >= self._data_bytes:
            self._close_data()
            self._data_number += 1
            path = self._path(info.DATA_PATH, self._data_number)
            path.parent.mkdir(parents=True, exist_ok=True)
            # No dictionaries: every image is another one.
            self._data = pq.ParquetWriter(path, self._schema, compression=COMPRESSION, use_dictionary=False)
        assert self._data is not None
        self._data.write_table(pa.Table.from_arrays(list(arrays.values()), schema=self._schema))
        return {f"data/{name}": number for name, number in _place(self._data_number).items()}

    def _write_video(self, frames: np.ndarray) -> dict[str, int | float]:
        """Write an episode's frames, and return where they are."""
        if self._video is None or self._video.num_bytes >= self._video_bytes:
            self._close_video()
            self._video_number += 1
            path = self._path(info.VIDEO_PATH, self._video_number)
            self._video = pictures.VideoWriter(path, self._fps, self._pixels)
        start = self._video.num_frames
        self._video.write(frames)
        key = f"videos/{info.IMAGE}"
        row: dict[str, int | float] = {f"{key}/{name}": number for name, number in _place(self._video_number).items()}
        seconds = {"from_timestamp": start / self._fps, "to_timestamp": self._video.num_frames / self._fps}
        return row | {f"{key}/{name}": second for name, second in seconds.items()}

    def close(self) -> None:
        """Finish the files, and write ``meta/``."""
        assert self._episodes, "a dataset has an episode at least"
        self._close_data()
        self._close_video()
        total = len(self._episodes)
        path = self._folder / info.EPISODES_PATH.format(**_place(0))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._episodes), path, compression=COMPRESSION)
        pq.write_table(columns.tasks_table(self._instructions), self._folder / info.TASKS, compression=COMPRESSION)
        stats = {info.IMAGE: statistics.add(self._images).stats()} | {
            name: statistics.of_numbers(np.concatenate([one[name] for one in self._numbers]))
            for name in self._numbers[0]
        }
        write_json(self._folder / info.STATS, stats)
        described = {
            "codebase_version": info.VERSION,
            "robot_type": "panda",
            "fps": self._fps,
            "features": self._features,
            "total_episodes": total,
            "total_frames": self._num_frames,
            "total_tasks": len(self._instructions),
            "splits": {"train": f"0:{total}"},
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": self._data_bytes // 2**20 or 1,
            "video_files_size_in_mb": self._video_bytes // 2**20 or 1,
            "data_path": info.DATA_PATH,
            "video_path": info.VIDEO_PATH if self._films else None,
        }
        # In this order, unlike other JSON here: the features' is that of the columns.
        write_text(self._folder / info.INFO, json.dumps(described, indent=4) + "\n")

    def _close_data(self) -> None:
        if self._data is not None:
            self._data.close()

    def _close_video(self) -> None:
        if self._video is not None:
            self._video.close()

    def _path(self, template: str, number: int) -> Path:
        return self._folder / template.format(video_key=info.IMAGE, **_place(number))


def _place(number: int) -> dict[str, int]:
    """Return the chunk and the number in it of the file of that number."""
    return {"chunk_index": number // FILES_PER_CHUNK, "file_index": number % FILES_PER_CHUNK}


def _size(path: Path) -> int:
    return path.stat().st_size


def _stored(array: np.ndarray) -> np.ndarray:
    """Return numbers as they are stored."""
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)
