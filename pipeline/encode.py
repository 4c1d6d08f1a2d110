"""Encode every frame of the kept episodes to codes and write token shards.

Reads ``data/filtered/<suite>/``, ``data/splits/<suite>.parquet`` and ``data/tokenizer/<suite>/``; writes
``data/shards/<suite>/<split>/*.tar`` for every split that has episodes. Costs one pass of the VQ-GAN's encoder per frame;
an interrupted run continues from ``work/encode/``.
"""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from worldvla import files
from worldvla.data.episodes import read_episode, read_episodes_table
from worldvla.data.frames import size_of
from worldvla.data.shards import TokenizedEpisode, shard_path, write_shard
from worldvla.data.splits import read_split
from worldvla.params import strict
from worldvla.params.encode import EncodeParams
from worldvla.running import console
from worldvla.running.forecast import forecast
from worldvla.running.unfinished import work_folder
from worldvla.tokenizers.image import ImageTokenizer

BYTES_PER_ACTION = 68  # seven float64, and the tar's own


def main(*, params: Path, filtered: Path, split: Path, tokenizer: Path, out: Path) -> None:
    """Encode the episodes of one suite."""
    settings = strict.read(EncodeParams, params)
    members = read_split(split)
    num_frames = {(row["task"], row["demo"]): row["num_steps"] for row in read_episodes_table(filtered) if row["kept"]}
    wanted = [pair for pairs in members.values() for pair in pairs]
    for task, demo in wanted:
        if (task, demo) not in num_frames:
            raise ValueError(
                f"{split}: the episode '{task}/{demo}' is not among the kept ones of {filtered}; expected all of them "
                "there. Run: dvc repro -f filter split"
            )
    image_tokenizer = ImageTokenizer.load(tokenizer)
    inputs = [files.folder_digest(filtered), files.file_digest(split), files.folder_digest(tokenizer)]
    work = work_folder("encode", [asdict(settings), inputs])
    print(expectation([num_frames[pair] for pair in wanted], image_tokenizer), flush=True)
    finished = []
    with console.Progress(desc="encode", unit="frame", total=sum(num_frames[pair] for pair in wanted)) as bar:

        def tokenize(task: str, demo: str) -> TokenizedEpisode:
            episode = read_episode(filtered, task, demo)
            starts = range(0, len(episode.frames), settings.batch)
            codes = np.concatenate([image_tokenizer.encode(episode.frames[i : i + settings.batch]) for i in starts])
            bar.update(len(codes))
            return TokenizedEpisode(task, demo, episode.language, codes, episode.actions)

        for name, pairs in members.items():
            for index, start in enumerate(range(0, len(pairs), settings.episodes_per_shard)):
                path = shard_path(work / name, index)
                group = pairs[start : start + settings.episodes_per_shard]
                if path.exists():
                    bar.update(sum(num_frames[pair] for pair in group))
                else:
                    write_shard(path, (tokenize(*pair) for pair in group))
                finished.append(path)
    with files.atomic_folder(out) as folder:
        for path in finished:  # not the folder: a process that was killed leaves half a shard under another name
            copy = folder / path.relative_to(work)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.rmtree(work)
    shown = ", ".join(f"{name} {len(pairs)}" for name, pairs in members.items())
    print(f"{out}: episodes: {shown}; {bar.n} frames. Next: train")


def expectation(lengths: list[int], images: ImageTokenizer) -> str:
    """Return what the frames of episodes of these lengths will need, in words: codes are stored twice, frames are not."""
    disk = 2 * sum(lengths) * (2 * images.codes_per_image + BYTES_PER_ACTION)
    return forecast(sum(lengths), images.pixels, disk, size_of(max(lengths), images.pixels))


if __name__ == "__main__":
    console.run(main)
