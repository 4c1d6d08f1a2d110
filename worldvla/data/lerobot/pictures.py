"""Frames as LeRobot datasets store them: PNG files inside parquet, or videos of many episodes, one after the other."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.codec import Codec
from av.error import FFmpegError
from av.video.stream import VideoStream
from PIL import Image

from worldvla.data.lerobot.info import REMEDY

# lerobot's own settings (RGBEncoderConfig): every other frame is a key frame, so that any is found at once.
GOP, PIXEL_FORMAT = 2, "yuv420p"
# The first whose encoder is there. AV1 is what lerobot's public sets are in; its numbers mean the same nearly.
CODECS = {
    "libsvtav1": {"crf": "30", "preset": "12", "g": str(GOP)},
    "libx264": {"crf": "23", "preset": "medium", "g": str(GOP)},
}


def encode_png(frame: np.ndarray) -> bytes:
    """Return a frame, uint8 ``[px, px, 3]``, as a PNG file, which holds it exactly."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def decode_image(content: bytes | None, where: str) -> np.ndarray:
    """Return an image file's pixels, uint8 ``[height, width, 3]`` RGB.

    Raises:
        ValueError: it is no image, or not inside the dataset.
    """
    if content is None:
        raise ValueError(f"{where}: the image is not inside the parquet file; expected it embedded; {REMEDY}")
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises of damaged files
        raise ValueError(f"{where}: no image, or a damaged one; expected PNG; {REMEDY}") from None


def encoder() -> str:
    """Return the name of the encoder that videos are written with here."""
    for name in CODECS:
        with contextlib.suppress(ValueError):  # PyAV's UnknownCodecError is one
            Codec(name, "w")
            return name
    raise ValueError(f"PyAV has no encoder for videos; expected one of {', '.join(CODECS)}; leave --video out")


def codec_name() -> str:
    """Return what the codec of those videos is called: "av1"."""
    return Codec(encoder(), "w").canonical_name


class VideoWriter:
    """Writes frames into one MP4 file; one thread, so that the bytes do not vary."""

    def __init__(self, path: Path, fps: int, pixels: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("SVT_LOG", "1")  # errors alone: SVT-AV1 is chatty
        self.num_frames = self.num_bytes = 0  # bytes so far: an encoder holds some frames back
        self._container = av.open(str(path), "w", options={"fflags": "+bitexact"})
        name = encoder()
        stream = self._container.add_stream(name, rate=fps, options=CODECS[name])
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = pixels
        stream.pix_fmt = PIXEL_FORMAT
        stream.codec_context.thread_count = 1
        self._stream = stream

    def write(self, frames: np.ndarray) -> None:
        """Add frames, uint8 ``[T, px, px, 3]``."""
        for frame in frames:
            packets = self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24"))
            self.num_bytes += sum(packet.size for packet in packets)
            self._container.mux(packets)
        self.num_frames += len(frames)

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode())
        self._container.close()


def read_video(path: Path, start_s: float, num_frames: int, fps: float) -> Iterator[np.ndarray]:
    """Yield the frames of an episode in a video, uint8 ``[height, width, 3]`` RGB.

    Args:
        path: the video, which may hold other episodes.
        start_s: when the episode begins in it.
        num_frames: how many it has.
        fps: frames per second.

    Raises:
        ValueError: the video is missing or damaged, or ends before.
    """
    expected = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            # To the key frame before; what is shown earlier is passed over.
            container.seek(round(start_s / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                number = round((float(frame.pts * stream.time_base) - start_s) * fps) if frame.pts is not None else -1
                if number == expected:
                    yield frame.to_ndarray(format="rgb24")
                    expected += 1
                if number >= num_frames - 1:
                    break
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected it in the dataset; {REMEDY}") from None
    except (FFmpegError, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: cannot be read ({reason}); expected a whole video; {REMEDY}") from None
    if expected != num_frames:
        raise ValueError(
            f"{path}: {expected} of {num_frames} frames from {start_s:g} s on; expected one at every {1 / fps:g} s; {REMEDY}"
        )
