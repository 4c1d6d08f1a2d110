"""Forms of stored frames: size and speed of lossless ones on rendered episodes, against one gzip chunk per frame.

    LIBERO_ASSETS=<folder> python -m benchmarks.frames

CPU time; the first 150 frames of scripted demonstrations, filtered, in the published looks; LIBERO's scenes are left out
without its assets. ``ours`` is what ``worldvla.data.frames`` writes. ``one`` reads one frame, file opened and closed.
"""

import io
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

from worldvla.data.filtering import replay
from worldvla.data.frames import write_frames
from worldvla.data.trajectories import Trajectory
from worldvla.simulation import recording
from worldvla.simulation.libero import Environment
from worldvla.simulation.libero_assets import find_assets
from worldvla.simulation.tasks import tasks

NUM_FRAMES = 150
NUM_SINGLE = 30
SCENES = (("mini", "goal", 96), ("libero", "object", 128), ("libero", "object", 256), ("libero", "spatial", 256))


def render(benchmark: str, suite: str, pixels: int) -> np.ndarray:
    """Return the frames of filtered demonstrations of the suite's first task: uint8 [T, px, px, 3]."""
    task = tasks(benchmark, suite)[0]
    frames: list[np.ndarray] = []
    with Environment(task, pixels=pixels, seed=0, looks="published") as environment:
        for number in itertools.count():
            recorded = recording.record_demonstration(environment, 0, number)
            _, episode = replay(environment, Trajectory(f"demo_{number}", recorded.actions, recorded.states))
            frames += list(episode.frames) if episode else []
            if len(frames) >= NUM_FRAMES:
                break
    return np.stack(frames[:NUM_FRAMES])


@dataclass(frozen=True)
class Form:
    """A way to store an episode in a file."""

    write: Callable[[Path, np.ndarray], None]
    read: Callable[[Path], np.ndarray]
    read_one: Callable[[Path, int], np.ndarray]


def hdf5(write: Callable[[h5py.File, np.ndarray], object]) -> Form:
    """Return a dataset of frames, which HDF5 itself decodes."""

    def store(path: Path, frames: np.ndarray) -> None:
        with h5py.File(path, "w") as file:
            write(file, frames)

    def read(path: Path) -> np.ndarray:
        with h5py.File(path) as file:
            return file["frames"][()]

    def read_one(path: Path, number: int) -> np.ndarray:
        with h5py.File(path) as file:
            return file["frames"][number]

    return Form(store, read, read_one)


def whole_frames(level: int) -> Form:
    """Return one gzip chunk per frame."""
    return hdf5(
        lambda file, frames: file.create_dataset(
            "frames", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip", compression_opts=level
        )
    )


def png(level: int) -> Form:
    """Return a PNG per frame in HDF5."""

    def write(path: Path, frames: np.ndarray) -> None:
        with h5py.File(path, "w") as file:
            stored = file.create_dataset("frames", len(frames), h5py.vlen_dtype(np.uint8))
            for number, frame in enumerate(frames):
                stream = io.BytesIO()
                Image.fromarray(frame).save(stream, "PNG", compress_level=level)
                stored[number] = np.frombuffer(stream.getvalue(), np.uint8)

    def decode(content: np.ndarray) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(content.tobytes())))

    def read(path: Path) -> np.ndarray:
        with h5py.File(path) as file:
            return np.stack([decode(content) for content in file["frames"][()]])

    def read_one(path: Path, number: int) -> np.ndarray:
        with h5py.File(path) as file:
            return decode(file["frames"][number])

    return Form(write, read, read_one)


def video(codec: str, pixel_format: str, options: dict[str, str]) -> Form:
    """Return a lossless video, one thread."""

    def write(path: Path, frames: np.ndarray) -> None:
        with av.open(str(path), "w", format="matroska") as container:
            stream = container.add_stream(codec, rate=20, options=options)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixel_format
            stream.codec_context.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pixel_format)))
            container.mux(stream.encode())

    def read(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

    def read_one(path: Path, number: int) -> np.ndarray:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            assert stream.time_base is not None
            container.seek(int(number / 20 / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if round((frame.pts or 0) * stream.time_base * 20) == number:
                    return frame.to_ndarray(format="rgb24")
        raise AssertionError(f"frame {number} is not in {path}")

    return Form(write, read, read_one)


FORMS = {
    "gzip 1, a frame": whole_frames(1),  # what ratios compare with
    "gzip 6, a frame": whole_frames(6),
    "ours: gzip 6, 16 x 8 rows": hdf5(lambda file, frames: write_frames(file, "frames", frames)),
    "PNG 6": png(6),
    "FFV1": video("ffv1", "bgr0", {"level": "3", "g": "1"}),
    "H.264 lossless RGB": video("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast", "g": "16", "threads": "1"}),
}


def measure(form: Form, path: Path, frames: np.ndarray) -> list[float]:
    """Return the file's size in bytes, and the CPU milliseconds per frame of writing, reading all, and reading one."""
    times = []
    singles = np.random.default_rng(0).integers(0, len(frames), NUM_SINGLE).tolist()
    for run in (
        lambda: form.write(path, frames),
        lambda: np.testing.assert_array_equal(form.read(path), frames),
        lambda: [np.testing.assert_array_equal(form.read_one(path, number), frames[number]) for number in singles],
    ):
        rounds = []
        for _ in range(3):
            start = time.process_time()
            run()
            rounds.append(time.process_time() - start)
        times.append(min(rounds) * 1e3)
    return [path.stat().st_size, times[0] / len(frames), times[1] / len(frames), times[2] / NUM_SINGLE]


def main() -> None:
    """Print a table."""
    print("| frames | form | size | ratio | write ms | ratio | read ms | ratio | one ms | ratio |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |")
    for benchmark, suite, pixels in SCENES:
        if benchmark == "libero":
            try:
                find_assets()
            except ValueError as error:
                print(f"LIBERO: {error}")
                return
        frames = render(benchmark, suite, pixels)
        first: list[float] = []
        for name, form in FORMS.items():
            with tempfile.TemporaryDirectory() as folder:
                row = measure(form, Path(folder) / "frames", frames)
            first = first or row
            share = row[0] / frames.nbytes
            cells = [f"{share:.1%} | {row[0] / first[0]:.2f}"]
            cells += [f"{value:.2f} | {value / base:.2f}" for value, base in zip(row[1:], first[1:], strict=True)]
            print(f"| {benchmark} {suite}, {pixels} px | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
