"""Writes the two datasets beside this file with lerobot's own writer, which cannot be installed beside this project.

    python3.12 -m venv /tmp/lerobot && /tmp/lerobot/bin/pip install 'lerobot[dataset]==0.6.1'
    /tmp/lerobot/bin/python tests/lerobot_golden/regenerate.py

Two episodes of two tasks, of three and four frames; the values are a formula that the test repeats.
"""

import shutil
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PIXELS, LENGTHS = 64, (3, 4)
TASKS = ("put the can in the basket", "put the milk in the tray")


def frame(episode: int, step: int) -> np.ndarray:
    """Return a picture that is brighter to the right and to the bottom, and from step to step."""
    ramp = np.add.outer(np.arange(PIXELS), np.arange(PIXELS) * 2)
    return np.stack([ramp, ramp + 10 * step, ramp + 20 * episode], -1).astype(np.uint8)


def numbers(episode: int, step: int, width: int) -> np.ndarray:
    """Return commands or a state that differ in every place; the last one closes the gripper."""
    values = ((np.arange(width) + step) / 16 - 0.25 * episode).astype(np.float32)
    values[-1] = 1 if step else -1
    return values


def main() -> None:
    """Write both forms."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]

    for form in ("image", "video"):
        shutil.rmtree(HERE / form, ignore_errors=True)
        names = ["height", "width", "channel"]
        features = {
            "observation.images.image": {"dtype": form, "shape": (PIXELS, PIXELS, 3), "names": names},
            "observation.state": {"dtype": "float32", "shape": (8,), "names": ["state"]},
            "action": {"dtype": "float32", "shape": (7,), "names": ["action"]},
        }
        dataset = LeRobotDataset.create(
            "local/golden", 10, features, root=HERE / form, robot_type="panda", use_videos=form == "video"
        )
        for episode, length in enumerate(LENGTHS):
            for step in range(length):
                dataset.add_frame(
                    {
                        "observation.images.image": frame(episode, step),
                        "observation.state": numbers(episode, step, 8),
                        "action": numbers(episode, step, 7),
                        "task": TASKS[episode],
                    }
                )
            dataset.save_episode()
        dataset.finalize()


if __name__ == "__main__":
    main()
