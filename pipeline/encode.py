"""Encode every frame of the kept episodes to codes and write token shards.

Reads ``data/filtered/<suite>/``, ``data/splits/<suite>.parquet`` and ``data/tokenizer/<suite>/``; writes
``data/shards/<suite>/<split>/*.tar`` for every split that has episodes. Costs one pass of the VQ-GAN's encoder per frame;
an interrupted run continues from ``work/encode/``.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from worldvla import files
from worldvla.arithmetic import ENVIRONMENT
from worldvla.data.episodes import read_episode, read_episodes_table
from worldvla.data.frames import size_of
from worldvla.data.shards import TokenizedEpisode, shard_path, write_shard
from worldvla.data.splits import read_split
from worldvla.params import strict
from worldvla.params.encode import EncodeParams
from worldvla.running import console
from worldvla.running.forecast import forecast
from worldvla.running.job import Job, Unit, Work
from worldvla.running.machine import read_machine
from worldvla.running.unfinished import finish, work_folder
from worldvla.running.units import finished_units
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
    shards = {
        (name, index): tuple(pairs[start : start + settings.episodes_per_shard])
        for name, pairs in members.items()
        for index, start in enumerate(range(0, len(pairs), settings.episodes_per_shard))
    }
    print(expectation([num_frames[pair] for pair in wanted], len(shards), image_tokenizer), flush=True)
    job = Job(
        work,
        begin=encoder,
        arguments=(settings, filtered, tokenizer),
        units=tuple(
            Unit(f"{name}-{index:06d}", pairs, sum(num_frames[pair] for pair in pairs))
            for (name, index), pairs in shards.items()
        ),
        noun="frame",
        suffix=".tar",
        environment=ENVIRONMENT,
        asks_model=True,
    )
    with finished_units(job) as results, files.atomic_folder(out) as folder:
        for (name, index), result in zip(shards, results, strict=True):
            (folder / name).mkdir(exist_ok=True)
            shutil.copyfile(result, shard_path(folder / name, index))
    finish(work)
    shown = ", ".join(f"{name} {len(pairs)}" for name, pairs in members.items())
    print(f"{out}: episodes: {shown}; {sum(num_frames[pair] for pair in wanted)} frames. Next: train")


@contextlib.contextmanager
def encoder(settings: EncodeParams, filtered: Path, tokenizer: Path) -> Iterator[Work]:
    """Yield what encodes the episodes of a shard; in a worker."""
    images = ImageTokenizer.load(tokenizer)

    def encode(pairs: tuple[tuple[str, str], ...], path: Path, advance: Callable[[int], object]) -> None:
        def tokenize(task: str, demo: str) -> TokenizedEpisode:
            episode = read_episode(filtered, task, demo)
            starts = range(0, len(episode.frames), settings.batch)
            codes = np.concatenate([images.encode(episode.frames[i : i + settings.batch]) for i in starts])
            advance(len(codes))
            return TokenizedEpisode(task, demo, episode.language, codes, episode.actions)

        write_shard(path, (tokenize(*pair) for pair in pairs))

    yield encode


def expectation(lengths: list[int], num_shards: int, images: ImageTokenizer) -> str:
    """Return what the frames of episodes of these lengths will need, in words.

    Codes are stored twice, frames are not; each worker holds an episode.
    """
    num_workers = read_machine().num_workers(asks_model=True, num_units=num_shards)
    disk = 2 * sum(lengths) * (2 * images.codes_per_image + BYTES_PER_ACTION)
    memory = max(1, num_workers) * size_of(max(lengths), images.pixels)
    return forecast(sum(lengths), images.pixels, disk, memory)


if __name__ == "__main__":
    console.run(main)
