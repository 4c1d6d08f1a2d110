"""Whether LeRobot's own reader finds in an export what the filter wrote; in an environment of its own.

    ./run export lerobot goal
    python3.12 -m venv ../lerobot
    ../lerobot/bin/python -m pip install 'lerobot[dataset]' h5py
    ../lerobot/bin/python integrations/lerobot/read_back.py exports/lerobot/mini_goal data/filtered/goal-main

It reads every frame of every episode by ``LeRobotDataset``, with the actions of the next steps, as a policy of chunks is
trained on them, and prints the largest differences. Nothing of this project is imported.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]

CHUNK = 5  # actions of an item
FRAMES, ACTIONS = "observation.images.image", "action"


def main() -> None:
    """Compare a dataset with the episodes that it was exported from."""
    parser = argparse.ArgumentParser(description="Compare an export, as LeRobot reads it, with the filtered episodes.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("filtered", type=Path)
    given = parser.parse_args()
    print(", ".join(f"{name} {version(name)}" for name in ("lerobot", "torch", "datasets", "av")))
    fps = LeRobotDataset("local", root=given.dataset, video_backend="pyav").fps
    steps = [number / fps for number in range(CHUNK)]
    dataset = LeRobotDataset("local", root=given.dataset, video_backend="pyav", delta_timestamps={ACTIONS: steps})
    print(
        f"{given.dataset}: {dataset.num_episodes} episodes, {len(dataset)} frames, {fps} fps, {len(dataset.features)} features"
    )

    rows = [row for row in pq.read_table(given.filtered / "episodes.parquet").to_pylist() if row["kept"]]
    rows.sort(key=lambda row: (row["task_index"], int(row["demo"].removeprefix("demo_"))))
    assert len(rows) == dataset.num_episodes
    errors, worst_action = [], 0.0
    for row, episode in zip(rows, dataset.meta.episodes, strict=True):
        with h5py.File(given.filtered / f"{row['task']}_demo.hdf5") as file:
            demo = file[f"data/{row['demo']}"]
            frames, actions = np.asarray(demo["obs/agentview_rgb"]), np.asarray(demo["actions"])
        assert len(frames) == episode["length"], row["demo"]
        for number, frame in enumerate(frames):
            item = dataset[episode["dataset_from_index"] + number]
            assert item["task"].replace(" ", "_") in row["task"], row["task"]
            read = np.rint(item[FRAMES].permute(1, 2, 0).numpy() * 255)  # the reader divides by 255
            errors.append(float(((read - frame) ** 2).mean()))
            expected = actions[number : number + CHUNK]
            assert (~item[f"{ACTIONS}_is_pad"]).sum() == len(expected)
            worst_action = max(worst_action, float(abs(item[ACTIONS].numpy()[: len(expected)] - expected).max()))
    different = [error for error in errors if error]
    quality = f", PSNR of the others {np.mean(10 * np.log10(255**2 / np.array(different))):.1f} dB" if different else ""
    print(f"{len(errors) - len(different)} of {len(errors)} frames are equal{quality}")
    print(f"actions, {CHUNK} per frame: differ by {worst_action:.1g} at most")


if __name__ == "__main__":
    main()
