"""Videos of rollouts, for people: MP4 files with the same bytes on every run."""

from pathlib import Path

import av
import numpy as np

VIDEO_PIXELS = 256  # side of a filmed frame, whatever the policy sees
FRAMES_PER_S = 10  # the control rate of the mini suites; half of LIBERO's


def video_name(task_index: int, init_state: int, success: bool) -> str:
    """Return the file name of an episode's video."""
    return f"{'success' if success else 'failure'}-task{task_index}-init{init_state}.mp4"


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write frames (uint8 [T, H, W, 3], even sides) as H.264; one thread, so that the bytes do not vary."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S, options={"crf": "26", "preset": "medium"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def read_video(path: Path) -> np.ndarray:
    """Return the frames of a video, uint8 [T, H, W, 3]."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
