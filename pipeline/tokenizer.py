"""Train the tokenizers of a suite: images (a VQ-GAN), text, actions.

Reads ``data/filtered/<suite>/`` and ``data/splits/<suite>.parquet``; writes ``data/tokenizer/<suite>/``: ``vqgan/``,
``text.json``, ``actions.json``, ``summary.json`` (what the VQ-GAN keeps of held-out frames) and ``reconstructions.png``.
Costs two minutes of two cores at ``mini``; an interrupted training continues from ``work/tokenizer/``, where the training
frames lie unpacked meanwhile.
"""

import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from worldvla import files
from worldvla.data.episodes import read_actions, read_episodes_table
from worldvla.data.frame_sources import EpisodeFrames, unpack
from worldvla.data.frames import size_of
from worldvla.data.hub import published, tokenizers
from worldvla.data.hub.listing import pinned
from worldvla.data.splits import read_split
from worldvla.params import strict
from worldvla.params.recorded import check_unchanged
from worldvla.params.tokenizer import PUBLISHED, TokenizerParams
from worldvla.running import console
from worldvla.running.forecast import forecast
from worldvla.running.unfinished import finish, work_folder
from worldvla.sequences import PROMPTS
from worldvla.tokenizers import reconstruction
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.reconstruction import evenly_spaced
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN
from worldvla.tokenizers.vqgan_training import config, train
from worldvla.tokenizers.weights import load_weights

MEASURED = 400  # frames, evenly spaced over the held-out episodes
DRAWN = 8


def main(*, params: Path, filtered: Path, split: Path, out: Path) -> None:
    """Train the tokenizers on the training episodes of one suite."""
    settings = strict.read(TokenizerParams, params)
    check_unchanged("tokenizer", settings)
    splits = read_split(split)
    training = EpisodeFrames(filtered, splits["train"])
    # A task of fewer than ten demonstrations leaves none to measure on.
    held_out = [pair for name, pairs in splits.items() if name != "train" for pair in pairs]
    measured = EpisodeFrames(filtered, held_out) if held_out else training
    work = work_folder(
        "tokenizer", [dataclasses.asdict(settings), files.folder_digest(filtered), files.file_digest(split)]
    )
    print(expectation(settings, training), flush=True)
    settings = with_published(settings)

    tasks = {task for task, _ in splits["train"]}
    instructions = {row["language"] for row in read_episodes_table(filtered) if row["task"] in tasks}
    texts = text_tokenizer(settings, instructions)  # first: what is wrong with a file of it is found in a second
    images = image_tokenizer(settings, training, work)
    median = reconstruction.median_frame(
        training
    )  # before the sample, which would be held beside what it is taken from
    sample = evenly_spaced(measured, MEASURED)
    summary = reconstruction.measure(images, sample, median) | {
        "measured_on": "held-out frames" if held_out else "training frames",
        "num_frames": len(sample),
        "num_training_frames": len(training),
        "perceptual_loss": settings.perceptual_weights is not None,
        "trained_here": settings.weights is None,
    }
    actions = np.concatenate([read_actions(filtered, *pair) for pair in splits["train"]])
    with files.atomic_folder(out) as folder:
        images.save(folder)
        texts.save(folder / "text.json")
        action_tokenizer(settings, actions).save(folder / "actions.json")
        files.write_json(folder / "summary.json", summary)
        reconstruction.draw(folder / "reconstructions.png", images, evenly_spaced(measured, DRAWN))
    finish(work)
    print(
        f"wrote {out}: PSNR {summary['psnr']:.1f} dB, foreground {summary['foreground_psnr']:.1f} dB, "
        f"{summary['num_codes_used']} of {images.num_codes} codes used on {len(sample)} {summary['measured_on']}. Next: encode"
    )


def with_published(settings: TokenizerParams) -> TokenizerParams:
    """Return the params with the published files, fetched where they are asked for, in the place of their names."""
    found: dict[str, str] = {}
    if PUBLISHED in (settings.text_file, settings.weights):
        release = pinned(published.load("released"))
        if settings.text_file == PUBLISHED:
            found["text_file"] = str(tokenizers.fetch_text(release))
        if settings.weights == PUBLISHED:
            found["weights"] = str(tokenizers.fetch_vqgan(release))
    return dataclasses.replace(settings, **found)


def expectation(settings: TokenizerParams, training: EpisodeFrames) -> str:
    """Return what the frames will need, in words: published weights see a sample alone, a training unpacks all."""
    num_unpacked, longest = (0, 0) if settings.weights else (len(training), max(training.lengths))
    held = max(longest, MEASURED + reconstruction.WORKING_FRAMES, reconstruction.MEDIAN_FRAMES)
    disk, memory = size_of(num_unpacked, settings.pixels), size_of(held, settings.pixels)
    return forecast(len(training), settings.pixels, disk, memory)


def image_tokenizer(settings: TokenizerParams, frames: EpisodeFrames, work: Path) -> ImageTokenizer:
    """Return the published VQ-GAN if its weights are given, else train one."""
    if settings.weights is None:
        path = work / "frames.rgb"
        with contextlib.closing(unpack(frames, path, settings.pixels)) as unpacked:
            trained = train(settings, unpacked, work)
        path.unlink()  # by far the largest of what stays until the result is saved
        return ImageTokenizer(trained, settings.pixels)
    model = VQGAN(config(settings))
    source = load_weights(model, Path(settings.weights))
    # As the release encodes with the published one: see ImageTokenizer.
    return ImageTokenizer(model, settings.pixels, published=files.file_digest(source), tf32=True)


def text_tokenizer(settings: TokenizerParams, instructions: Iterable[str]) -> TextTokenizer:
    """Return the published text tokenizer if its file is given, else train one on the prompts."""
    if settings.text_file is not None:
        load = TextTokenizer.load_published if settings.vocabulary == "chameleon" else TextTokenizer.load
        return load(Path(settings.text_file))
    prompts = [prompt for reading in PROMPTS.values() for prompt in reading.values()]
    return TextTokenizer.train(
        (prompt.format(task=instruction) for prompt in prompts for instruction in instructions), settings.text_size
    )


def action_tokenizer(settings: TokenizerParams, actions: np.ndarray) -> ActionTokenizer:
    """Return the range of the training actions [N, 7], or a published table."""
    return ActionTokenizer.fit(actions) if settings.actions == "fitted" else ActionTokenizer.published(settings.actions)


if __name__ == "__main__":
    console.run(main)
