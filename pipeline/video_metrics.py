"""Stage video_metrics: score predicted clips against the recorded ones, and against two baselines.

Writes ``clips.parquet`` (PSNR, SSIM, LPIPS: a row per source, horizon and clip), ``sets.parquet`` (the Frechet distance of
I3D's features: a row per source and horizon), ``films/`` (the frames of some clips, for people) and ``made_of.json``.
Costs a pass of I3D per source, horizon and clip; an interrupted run keeps the features in ``work/video_metrics/``.
"""

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldvla.data.episodes import read_episode, write_table
from worldvla.data.generated import Generated, read_generated
from worldvla.data.splits import read_split
from worldvla.files import atomic_folder, file_digest, folder_digest, value_digest, write_json
from worldvla.metrics import videos
from worldvla.metrics.films import write_films
from worldvla.metrics.i3d import features
from worldvla.metrics.perceptual import Lpips, Net
from worldvla.metrics.videos import Videos
from worldvla.params import strict
from worldvla.params.recorded import check_unchanged
from worldvla.params.video_metrics import VideoMetricsParams
from worldvla.running import console
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import work_folder
from worldvla.tokenizers.image import ImageTokenizer

CALIBRATION = 16  # training clips that set the statistics of a random network


def main(
    *, params: Path, generated: Path, filtered: Path, split: Path, tokenizer: Path, out: Path, timing: Path
) -> None:
    """Score the predictions of all models of one suite."""
    settings = strict.read(VideoMetricsParams, params)
    check_unchanged("video_metrics", settings)
    weights: dict[Net, str | None] = {"vgg": settings.lpips_vgg, "alex": settings.lpips_alex}
    lpips = {f"lpips_{net}": Lpips(net, Path(path)) for net, path in weights.items() if path is not None}
    started = time.monotonic()
    num_frames = max(settings.horizons)
    predictions = read_generated(generated, settings.models, num_frames)
    if len(predictions[0].clips) < 2:
        raise ValueError(
            f"{generated}: one clip, expected at least two, for intervals; raise download.demonstrations_per_task in conf/"
        )
    clips = [videos.Clip(clip.task, clip.demo, clip.language) for clip in predictions[0].clips]
    truth = np.stack([read_episode(filtered, clip.task, clip.demo).frames[:num_frames] for clip in clips])
    sources = all_sources(predictions, truth, ImageTokenizer.load(tokenizer))
    digests = {f"generated/{one.name}": folder_digest(generated / one.name) for one in predictions}
    digests |= {"data": folder_digest(filtered), "tokenizer": folder_digest(tokenizer)}
    digests |= {"params": value_digest(dataclasses.asdict(settings))}
    work = work_folder("video_metrics", [digests, file_digest(split)])

    rows = []
    with console.Progress(desc="PSNR, SSIM, LPIPS", unit="clip", total=len(sources) * len(clips)) as bar:
        for source in sources:
            rows += videos.score_clips(source, truth, clips, settings.horizons, lpips)
            bar.update(len(clips))
    # The control is scored frame by frame alone.
    compared = [source for source in sources if source.actions != "shuffled"]
    extractor = feature_extractor(settings, filtered, split)
    num_passes = (len(compared) + 1) * len(settings.horizons) * len(clips)
    with console.Progress(desc="I3D", unit="clip", total=num_passes) as bar:
        sets = videos.score_sets(compared, truth, settings.horizons, extractor, settings.seed, work, bar.update)
    with atomic_folder(out) as folder:
        write_table(folder / "clips.parquet", rows, videos.CLIPS)
        write_table(folder / "sets.parquet", sets, videos.SETS)
        write_films(folder / "films", [Videos("truth", "none", truth), *compared], clips, settings.num_films)
        write_json(folder / "made_of.json", digests)
    shutil.rmtree(work, ignore_errors=True)
    write_timing(timing, time.monotonic() - started, clips=len(clips))
    for source in sources:
        print(videos.describe(source, rows))
    print(f"wrote {out}: {len(clips)} clips; distances are {extractor.label}. Next: dvc repro report")


def all_sources(predictions: list[Generated], truth: NDArray[np.uint8], images: ImageTokenizer) -> list[Videos]:
    """Return what is scored: every model with true and with shuffled actions, and the baselines."""
    num_clips, num_frames = truth.shape[:2]
    flat = truth.reshape(-1, *truth.shape[2:])
    reconstruction = images.decode(images.encode(flat)).reshape(truth.shape)
    copy = np.repeat(truth[:, :1], num_frames, axis=1)
    sources = []
    for model in predictions:
        for actions, codes in (("true", model.true), ("shuffled", model.shuffled)):
            frames = images.decode(codes.reshape(num_clips * num_frames, -1)).reshape(truth.shape)
            frames[:, 0] = truth[:, 0]  # it was given
            accuracy = model.code_accuracy if actions == "true" else None
            sources.append(Videos(model.name, actions, frames, accuracy))
    return [*sources, Videos("copy", "none", copy), Videos("reconstruction", "none", reconstruction)]


def feature_extractor(settings: VideoMetricsParams, filtered: Path, split: Path) -> features.Extractor:
    """Return I3D with the published weights, if they are given, else with random ones."""
    if settings.i3d_weights is not None:
        return features.verified(Path(settings.i3d_weights))
    calibration = training_clips(filtered, split, max(settings.horizons))
    return features.random(settings.seed, settings.i3d_pixels, calibration)


def training_clips(filtered: Path, split: Path, num_frames: int) -> NDArray[np.uint8]:
    """Return the beginnings of some training episodes, evenly spaced: uint8 [n, num_frames, H, W, 3]."""
    episodes = (read_episode(filtered, *pair).frames for pair in read_split(split)["train"])
    # Copied: a slice would keep the whole episode in memory.
    clips = [frames[:num_frames].copy() for frames in episodes if len(frames) >= num_frames]
    if not clips:
        raise ValueError(f"{filtered}: no training episode has {num_frames} frames; lower generate.horizons in conf/")
    return np.stack(
        [clips[place] for place in np.linspace(0, len(clips) - 1, min(CALIBRATION, len(clips))).astype(int)]
    )


if __name__ == "__main__":
    console.run(main)
