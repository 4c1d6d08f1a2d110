"""Frames of many episodes as one sequence of which only what is asked for is in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from worldvla.data.episodes import REMEDY, read_episode, read_episodes_table, read_frames
from worldvla.data.frames import size_of
from worldvla.files import atomic_file


class Frames(Protocol):
    """N frames; an array ``[N, px, px, 3]`` is one, too."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, chosen: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Return the frames of numbers ``[n]``, in their order: uint8 ``[n, px, px, 3]``."""
        ...


class EpisodeFrames:
    """The frames of episodes of a filtered folder, one episode after the other, read from there."""

    def __init__(self, folder: Path, episodes: Sequence[tuple[str, str]]) -> None:
        """Take (task, demo) pairs of a folder.

        Raises:
            ValueError: one of them is not among the kept ones.
        """
        kept = {(row["task"], row["demo"]): row["num_steps"] for row in read_episodes_table(folder) if row["kept"]}
        absent = [pair for pair in episodes if pair not in kept]
        if absent:
            raise ValueError(
                f"{folder}: the episode '{'/'.join(absent[0])}' is not among the kept ones; expected all of the split "
                "there; run: dvc repro -f filter split"
            )
        self._folder, self._episodes = folder, list(episodes)
        self.lengths = [int(kept[pair]) for pair in episodes]
        self._stops = np.cumsum([0, *self.lengths])

    def __len__(self) -> int:
        """Return the number of frames of all episodes."""
        return int(self._stops[-1])

    def __getitem__(self, chosen: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Return the frames of numbers ``[n]``: uint8 ``[n, px, px, 3]``; every episode is opened once."""
        owners = np.searchsorted(self._stops, chosen, side="right") - 1
        frames: NDArray[np.uint8] | None = None  # filled frame by frame: a list would be stacked, and so held twice
        for owner in np.unique(owners).tolist():
            task, demo = self._episodes[int(owner)]
            places = np.flatnonzero(owners == owner)
            numbers = (chosen[places] - self._stops[owner]).tolist()
            for place, frame in zip(places.tolist(), read_frames(self._folder, task, demo, numbers), strict=True):
                if frames is None:
                    frames = np.empty((len(chosen), *frame.shape), np.uint8)
                frames[place] = frame
        assert frames is not None, "no frame was asked for"
        return frames

    def episode(self, index: int) -> NDArray[np.uint8]:
        """Return all frames of the episode of that place in the sequence: uint8 ``[T, px, px, 3]``."""
        return read_episode(self._folder, *self._episodes[index]).frames


class FrameFile:
    """Frames as they are, one after the other in one file: any of them is there at once, none stays in memory."""

    def __init__(self, path: Path, pixels: int) -> None:
        self._shape = (pixels, pixels, 3)
        self._size = size_of(1, pixels)
        self._num_frames = path.stat().st_size // self._size
        self._stream = path.open("rb", buffering=0)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._num_frames

    def __getitem__(self, chosen: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Return the frames of numbers ``[n]``: uint8 ``[n, px, px, 3]``.

        Raises:
            ValueError: the file has become shorter meanwhile.
        """
        frames = np.empty((len(chosen), *self._shape), np.uint8)
        for number, frame in zip(chosen.tolist(), frames, strict=True):
            assert 0 <= number < self._num_frames, f"frame {number} of {self._num_frames}"
            self._stream.seek(number * self._size)
            got = self._stream.readinto(frame.data)
            if got != self._size:
                raise ValueError(
                    f"{self._stream.name}: frame {number} has {got} bytes; expected {self._size}; something else cuts the "
                    "file: leave work/ alone and run the same command, which unpacks it again"
                )
        return frames

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def unpack(episodes: EpisodeFrames, path: Path, pixels: int) -> FrameFile:
    """Write the frames of all episodes into one file, unless they are there, and return them.

    Raises:
        ValueError: an episode has frames of another size, or not as many as the table says.
    """
    if not path.is_file() or path.stat().st_size != size_of(len(episodes), pixels):
        with atomic_file(path) as scratch, scratch.open("wb") as stream:
            for index, length in enumerate(episodes.lengths):
                # No variable here: it would hold an episode while the next one is read.
                _append(stream, episodes.episode(index), (length, pixels, pixels, 3))
    return FrameFile(path, pixels)


def _append(stream: BinaryIO, frames: NDArray[np.uint8], expected: tuple[int, ...]) -> None:
    if frames.shape != expected:
        raise ValueError(f"an episode has frames {list(frames.shape)}; expected {list(expected)}; {REMEDY}")
    stream.write(np.ascontiguousarray(frames).data)
