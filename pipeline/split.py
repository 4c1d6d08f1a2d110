"""Assign the kept episodes to training and validation.

Reads ``data/filtered/<suite>/episodes.parquet``; writes ``data/splits/<suite>.parquet``: suite, task, demo, split. Takes
a second.
"""

from collections import Counter
from pathlib import Path

from worldvla.data import splits
from worldvla.data.episodes import read_episodes_table, write_table
from worldvla.data.protocols import NUM_CLIPS, split_episodes
from worldvla.params import strict
from worldvla.params.split import SplitParams
from worldvla.running import console


def main(*, params: Path, filtered: Path, out: Path) -> None:
    """Split the episodes of one suite."""
    settings = strict.read(SplitParams, params)
    episodes = read_episodes_table(filtered)
    pairs = [(row["task"], row["demo"]) for row in episodes if row["kept"]]
    empty = sorted({row["task"] for row in episodes} - {task for task, _ in pairs})
    if empty:
        raise ValueError(
            f"{filtered}: no episode of the task '{empty[0]}' was kept; expected one or more of every task; see the reasons in "
            "its episodes.parquet, and get more demonstrations"
        )
    split = split_episodes(pairs, settings.protocol)
    lengths = [row["num_steps"] for row in episodes if split.get((row["task"], row["demo"])) == "val_ind"]
    num_clips = sum(length >= settings.clip_frames for length in lengths)
    if num_clips < NUM_CLIPS:
        raise ValueError(
            f"{filtered}: {num_clips} of {len(lengths)} held-out episodes have the {settings.clip_frames} frames of the clips "
            f"to predict; expected {NUM_CLIPS} at least, one of every ten of a task is held out; get more demonstrations, or lower "
            "generate.horizons in conf/"
        )
    rows = [{"suite": settings.suite, "task": task, "demo": demo, "split": split[task, demo]} for task, demo in pairs]
    write_table(out, rows, splits.SCHEMA)
    counts = Counter(split.values())
    shown = ", ".join(f"{name} {counts[name]}" for name in splits.SPLITS)
    print(f"{out}: {len(rows)} episodes by the '{settings.protocol}' protocol: {shown}. Next: tokenizer")


if __name__ == "__main__":
    console.run(main)
