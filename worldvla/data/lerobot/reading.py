"""Reads the episodes of a LeRobot dataset, and checks that they can be demonstrations here: whole, finite, of this gripper."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worldvla.data.lerobot.catalogue import Entry, read_parquet
from worldvla.data.lerobot.info import ACTION, ACTION_WIDTH, IMAGE, REMEDY, STATE, STATE_WIDTH, Info
from worldvla.data.lerobot.pictures import decode_image, read_video

COMMAND_RANGE = 1.0  # what the controller takes; float32 rounds
SLACK = 1e-3
CLEARLY_M = 0.01  # change of the gap that is no noise; fingers at rest move by 1e-5


@dataclass(frozen=True)
class Steps:
    """What an episode has beside its frames."""

    actions: np.ndarray  # float64 [T, 7]
    state: np.ndarray | None  # float64 [T, 8]: position (m), axis-angle (rad), fingers (m)


def read_steps(info: Info, entry: Entry) -> Steps:
    """Return the actions and, if the dataset has it, the robot's state of an episode.

    Raises:
        ValueError: one sentence: frames are missing, actions of another width, or values that are not finite.
    """
    names = ["episode_index", "frame_index", ACTION] + [STATE] * info.has_state
    table = _rows(info, entry, names)
    actions = _matrix(info, entry, table, ACTION, ACTION_WIDTH)
    return Steps(actions, _matrix(info, entry, table, STATE, STATE_WIDTH) if info.has_state else None)


def read_frames(info: Info, entry: Entry) -> np.ndarray:
    """Return the frames of an episode, uint8 ``[T, px, px, 3]``, as upright as the dataset has them.

    Raises:
        ValueError: one sentence: a frame is missing, damaged, or of another size than ``info.json`` says.
    """
    where = f"{info.folder}: episode {entry.index}"
    if entry.video is not None:
        shown: Iterable[np.ndarray] = read_video(info.folder / entry.video, entry.start_s, entry.length, info.fps)
    else:
        images = _rows(info, entry, ["episode_index", "frame_index", IMAGE]).column(IMAGE)
        shown = (
            decode_image(image.as_py().get("bytes"), f"{where}, frame {number}") for number, image in enumerate(images)
        )
    frames = np.empty((entry.length, info.pixels, info.pixels, 3), np.uint8)
    for number, frame in enumerate(shown):
        if frame.shape != frames.shape[1:]:
            raise ValueError(
                f"{where}, frame {number}: {frame.shape[1]} x {frame.shape[0]} pixels; expected {info.pixels} x {info.pixels}, "
                f"as info.json says; {REMEDY}"
            )
        frames[number] = frame
    return frames


def check_gripper(info: Info, steps: Sequence[Steps]) -> None:
    """Refuse grippers of other conventions: here -1 opens and +1 closes, as in LIBERO; RLDS has 0 for closed, 1 for open.

    Where the dataset has the fingers' positions, they tell which command closes: the gap between them gets smaller.

    Raises:
        ValueError: one sentence.
    """
    commands = np.concatenate([one.actions[:, -1] for one in steps])
    if commands.min() >= 0:
        raise ValueError(
            f"{info.folder}: gripper commands lie in [{commands.min():g}, {commands.max():g}]; expected -1 (open) and +1 "
            "(close), as the controller takes them; rewrite them as 1 - 2 x the opening, or name another demonstrations_folder"
        )
    opened = closed = 0.0  # how much wider the gap became, in all
    for one in steps:
        if one.state is not None:
            gap = np.abs(one.state[:, -2] - one.state[:, -1])
            wider, command = np.diff(gap), one.actions[:-1, -1]
            opened, closed = opened + wider[command < 0].sum(), closed + wider[command > 0].sum()
    if opened < -CLEARLY_M and closed >= 0:
        raise ValueError(
            f"{info.folder}: the fingers part at gripper commands above 0 and meet below; expected -1 to open and +1 to "
            "close, as LIBERO's controller takes them; rewrite the last number of the actions with the other sign"
        )


def _rows(info: Info, entry: Entry, columns: list[str]) -> pa.Table:
    """Return the rows of an episode in the order of its frames; only groups of rows that may have some are read."""
    path = info.folder / entry.data
    table = read_parquet(path, columns, filters=pc.field("episode_index") == entry.index)
    numbers = table.column("frame_index").to_pylist()
    if sorted(numbers) != list(range(entry.length)):
        raise ValueError(
            f"{path}: {len(numbers)} of {entry.length} frames of episode {entry.index}; expected each once; {REMEDY}"
        )
    return table if numbers == sorted(numbers) else table.sort_by("frame_index")


def _matrix(info: Info, entry: Entry, table: pa.Table, name: str, width: int) -> np.ndarray:
    """Return a column of vectors, float64 ``[T, width]``, all of it finite."""
    where = f"{info.folder / entry.data}: episode {entry.index}"
    rows = table.column(name).to_pylist()
    widths = {len(row) for row in rows}
    if widths != {width}:
        other = next(iter(widths - {width}))
        raise ValueError(f"{where}: '{name}' of {other} numbers; expected {width}; name another demonstrations_folder")
    array = np.asarray(rows, np.float64)
    if not np.isfinite(array).all():
        step, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"{where} step {step}: {name}[{column}] is {array[step, column]}; expected a finite number; {REMEDY}"
        )
    if name == ACTION and np.abs(array).max() > COMMAND_RANGE + SLACK:
        step, column = np.unravel_index(np.abs(array).argmax(), array.shape)
        raise ValueError(
            f"{where} step {step}: {name}[{column}] is {array[step, column]:g}; expected a command in [-1, 1], as the "
            "controller takes it; the actions are in another unit; name another demonstrations_folder"
        )
    return array
