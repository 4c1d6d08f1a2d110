"""What a LeRobot dataset says about itself: ``meta/info.json``, where its files lie, and what of it can be used here.

Format v3.0, as lerobot 0.6.1 writes and reads it. Nothing but JSON is read here, so that params may ask.
"""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VERSION = "v3.0"
INFO, STATS, TASKS, EPISODES = "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/episodes"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH, EPISODES_PATH = f"data/{FILE}.parquet", f"{EPISODES}/{FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{FILE}.mp4"

# Keys and widths of the public LIBERO sets (HuggingFaceVLA/libero).
IMAGE, STATE, ACTION = "observation.images.image", "observation.state", "action"
ACTION_WIDTH, STATE_WIDTH = 7, 8
LOOKS = "looks"  # in the image's "info", of ours alone: whether LIBERO's scenes have their published looks

REMEDY = "download or export it again, or name another demonstrations_folder"


@dataclass(frozen=True)
class Info:
    """What of ``meta/info.json`` is needed to read a dataset."""

    folder: Path
    fps: float
    total_episodes: int
    total_frames: int
    data_path: str  # to be formatted with chunk_index and file_index
    video_path: str | None  # likewise, and with video_key
    form: Literal["image", "video"]  # how frames are stored
    pixels: int  # side of the frames
    has_state: bool  # whether STATE is there, as wide as it should be
    looks: str | None  # of the scenes, where we wrote it


def dataset_folder(source: Path, suite_folder: str) -> Path:
    """Return a suite's dataset in a folder of the user's: that folder, or the suite's own in it.

    Args:
        source: the folder that the user names.
        suite_folder: the suite's, as LIBERO calls it: ``libero_goal``.
    """
    inner = source / suite_folder
    return inner if (inner / INFO).is_file() and not (source / INFO).is_file() else source


def is_dataset(folder: Path) -> bool:
    """Return whether a folder holds a LeRobot dataset, of whatever version."""
    return (folder / INFO).is_file()


def dataset_files(folder: Path) -> list[str]:
    """Return the files of a dataset that decide what is imported, sorted, by their path in it."""
    parts = (folder / part for part in ("meta", "data", "videos"))
    found = [path.relative_to(folder).as_posix() for part in parts for path in part.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != STATS and not any(p.startswith(".") for p in Path(name).parts))


def read_info(folder: Path) -> Info:
    """Return what a dataset says about itself.

    Raises:
        ValueError: one sentence: it is none, is of another version, or has other actions or images than are needed.
    """
    path = folder / INFO
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder}: no {INFO}; expected a LeRobot dataset {VERSION}; {REMEDY}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({_words(error)}); expected JSON; {REMEDY}") from None
    version = content.get("codebase_version") if isinstance(content, dict) else None
    if not isinstance(version, str) or not version.startswith("v3."):
        raise ValueError(
            f"{path}: codebase_version is {json.dumps(version)}; expected '{VERSION}'; convert it with lerobot: python -m "
            "lerobot.scripts.convert_dataset_v21_to_v30"
        )
    try:
        features = {name: Feature.of(feature) for name, feature in content["features"].items()}
        numbers = [content[name] for name in ("fps", "total_episodes", "total_frames")]
        fps, episodes, frames = float(numbers[0]), int(numbers[1]), int(numbers[2])
        data_path, video_path = content["data_path"], content.get("video_path")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not as LeRobot {VERSION} writes it ({_words(error)}); {REMEDY}") from None
    if fps <= 0:
        raise ValueError(f"{path}: fps is {fps:g}; expected a number above 0; {REMEDY}")
    _check_action(path, features)
    form, pixels = _images(path, features)
    _check_template(path, "data_path", data_path, {"chunk_index", "file_index"})
    if form == "video":
        _check_template(path, "video_path", video_path, {"chunk_index", "file_index", "video_key"})
    state = features.get(STATE)
    return Info(
        folder=folder,
        fps=fps,
        total_episodes=episodes,
        total_frames=frames,
        data_path=data_path,
        video_path=video_path,
        form=form,
        pixels=pixels,
        has_state=state is not None and state.shape == (STATE_WIDTH,),
        looks=features[IMAGE].looks,
    )


@dataclass(frozen=True)
class Feature:
    """One entry of ``features``."""

    dtype: str
    shape: tuple[int, ...]
    names: object
    looks: str | None

    @staticmethod
    def of(content: Mapping[str, Any]) -> "Feature":
        """Take what JSON holds."""
        described = content.get("info")
        looks = described.get(LOOKS) if isinstance(described, dict) else None
        return Feature(str(content["dtype"]), tuple(map(int, content["shape"])), content.get("names"), looks)


def _check_action(path: Path, features: Mapping[str, Feature]) -> None:
    if ACTION not in features:
        raise ValueError(f"{path}: no feature '{ACTION}' (it has: {', '.join(sorted(features))}); {REMEDY}")
    shape = features[ACTION].shape
    if shape != (ACTION_WIDTH,):
        raise ValueError(
            f"{path}: '{ACTION}' has the shape {list(shape)}; expected [{ACTION_WIDTH}]: translation 3, rotation 3, gripper 1; "
            "it is of another robot or controller; name another demonstrations_folder"
        )


def _images(path: Path, features: Mapping[str, Feature]) -> tuple[Literal["image", "video"], int]:
    """Return how the frames are stored, and their side."""
    cameras = sorted(name for name, feature in features.items() if feature.dtype in ("image", "video"))
    if IMAGE not in cameras:
        shown = ", ".join(cameras) or "none"
        raise ValueError(f"{path}: no images '{IMAGE}' (it has: {shown}); expected the agentview by that key; {REMEDY}")
    feature = features[IMAGE]
    # Height, width, channels by their names; some writers put the channels first, as torch does.
    sides = [side for side in feature.shape if side != 3] or [3]
    if len(feature.shape) != 3 or len(set(sides)) != 1:
        raise ValueError(f"{path}: '{IMAGE}' has the shape {list(feature.shape)}; expected square RGB; {REMEDY}")
    return ("video" if feature.dtype == "video" else "image"), sides[0]


def _check_template(path: Path, name: str, template: object, fields: set[str]) -> None:
    """Refuse paths as of format v2, which some sets that say v3.0 have: one file per episode."""
    try:
        named = {field for _, field, _, _ in string.Formatter().parse(str(template)) if field}
    except ValueError:
        named = set()
    if named != fields:
        raise ValueError(
            f"{path}: {name} is {json.dumps(template)}; expected {', '.join(sorted(fields))} in it: its files are named as "
            f"in v2.1; {REMEDY}"
        )
    if Path(str(template)).is_absolute() or ".." in Path(str(template)).parts:
        raise ValueError(f"{path}: {name} is {json.dumps(template)}; expected a path inside the dataset; {REMEDY}")


def _words(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
