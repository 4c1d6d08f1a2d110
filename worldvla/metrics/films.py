"""The frames of some clips as every source shows them, for people: one PNG per clip and source, frames side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from worldvla.files import write_json
from worldvla.metrics.videos import Clip, Videos


def write_films(folder: Path, sources: Sequence[Videos], clips: Sequence[Clip]) -> None:
    """Write ``films.json`` and ``<number>/<source>.png`` of some clips as all sources show them."""
    folder.mkdir()
    films = []
    for number, clip in enumerate(clips):
        for videos in sources:
            frames = videos.frames[number]
            (folder / str(number)).mkdir(exist_ok=True)
            Image.fromarray(np.concatenate(list(frames), axis=1)).save(
                folder / str(number) / f"{videos.source.name}.png"
            )
        frames = sources[0].frames[number]
        films.append(
            {
                "number": number,
                "task": clip.task,
                "demo": clip.demo,
                "language": clip.language,
                "num_frames": len(frames),
                "pixels": frames.shape[1],
            }
        )
    write_json(folder / "films.json", films)


def chosen(clips: Sequence[Clip], num_films: int) -> list[int]:
    """Return the places of at most ``num_films`` clips to show.

    By a rule: the first clip of every task in the order of the clips, then the second of every task, and so on.
    """
    seen: dict[str, int] = {}
    ranked = []
    for place, clip in enumerate(clips):
        seen[clip.task] = seen.get(clip.task, 0) + 1
        ranked.append((seen[clip.task], place))
    return [place for _, place in sorted(ranked)[:num_films]]
