"""Stage video_metrics: score predicted clips against the recorded ones, and against two baselines.

Writes ``clips.parquet`` (PSNR, SSIM, LPIPS: a row per source, horizon and clip), ``sets.parquet`` (the Frechet distance of
I3D's features: a row per source and horizon), ``films/`` (the frames of some clips, for people), ``made_of.json``, and ``models.json``, what each model says it was made of.
Costs a pass of I3D per source, horizon and clip; an interrupted run keeps the features in ``work/video_metrics/``.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worldvla.arithmetic import ENVIRONMENT
from worldvla.data.episodes import read_episode, read_episodes_table, read_table, write_table
from worldvla.data.generated import MADE_OF, REMEDY
from worldvla.data.splits import read_split
from worldvla.files import atomic_folder, file_digest, folder_digest, value_digest, write_json
from worldvla.metrics import videos
from worldvla.metrics.films import chosen, write_films
from worldvla.metrics.i3d import features
from worldvla.metrics.perceptual import Lpips, Net
from worldvla.metrics.sources import TRUTH, Sources
from worldvla.metrics.videos import Source
from worldvla.params import strict
from worldvla.params.recorded import check_unchanged
from worldvla.params.video_metrics import VideoMetricsParams
from worldvla.running import console
from worldvla.running.job import Job, Unit, Work
from worldvla.running.timing import write_timing
from worldvla.running.unfinished import finish, seconds_of, work_folder
from worldvla.running.units import finished_units
from worldvla.simulation.processes import run_elsewhere
from worldvla.tokenizers.image import ImageTokenizer

CALIBRATION = 16  # training clips that set the statistics of a random network
CLIPS_PER_UNIT = 8
# What a unit leaves: the rows of its clips, and their features, and whose, where distances need them.
SCORES = pa.schema([*videos.CLIPS, ("features", pa.list_(pa.float64())), *videos.EXTRACTOR])

Scored = tuple[Source, list[int]]  # a unit: a source, and the places of the clips


def main(
    *, params: Path, generated: Path, filtered: Path, split: Path, tokenizer: Path, out: Path, timing: Path
) -> None:
    """Score the predictions of all models of one suite."""
    settings = strict.read(VideoMetricsParams, params)
    check_unchanged("video_metrics", settings)
    frame_metrics(settings)  # what is wrong with a file of weights is said before workers start
    sources = Sources(generated, settings.models, max(settings.horizons), filtered)
    if len(sources.clips) < 2:
        raise ValueError(
            f"{generated}: one clip, expected at least two, for intervals; raise download.demonstrations_per_task in conf/"
        )
    digests = {f"generated/{name}": folder_digest(generated / name) for name in settings.models}
    digests |= {"data": folder_digest(filtered), "tokenizer": folder_digest(tokenizer)}
    digests |= {"params": value_digest(dataclasses.asdict(settings))}
    work = work_folder("video_metrics", [digests, file_digest(split)])
    numbers = list(range(len(sources.clips)))
    blocks = [numbers[start : start + CLIPS_PER_UNIT] for start in numbers[::CLIPS_PER_UNIT]]
    units = [(source, block) for source in (TRUTH, *sources.scored) for block in blocks]
    job = Job(
        work,
        begin=scorer,
        arguments=(settings, generated, filtered, split, tokenizer),
        units=tuple(
            Unit(f"{source.name}-{source.actions}-{block[0]:06d}", (source, block), len(block))
            for source, block in units
        ),
        noun="clip",
        suffix=".parquet",
        environment=ENVIRONMENT,
        asks_model=True,
    )
    rows: dict[Source, list[dict[str, Any]]] = {source: [] for source in (TRUTH, *sources.scored)}
    with finished_units(job) as results:
        for (source, _), result in zip(units, results, strict=True):
            rows[source] += read_table(result, SCORES, REMEDY)
    clips = [row for source in sources.scored for row in rows[source]]
    places = chosen(sources.clips, settings.num_films)
    images = ImageTokenizer.load(tokenizer)
    with atomic_folder(out) as folder:
        write_table(folder / "clips.parquet", clips, videos.CLIPS)
        compared = {source: members for source, members in rows.items() if has_distance(source)}
        sets = distances(compared, settings.horizons, settings.seed)
        write_table(folder / "sets.parquet", sets, videos.SETS)
        films = [sources.videos(source, places, images) for source in compared] if places else []
        write_films(folder / "films", films, [sources.clips[place] for place in places])
        write_json(folder / "made_of.json", digests)
        models = {name: (generated / name / MADE_OF).read_text(encoding="utf-8") for name in settings.models}
        write_json(folder / "models.json", {name: json.loads(text) for name, text in models.items()})
    write_timing(timing, seconds_of(work), clips=len(sources.clips))
    finish(work)
    for source in sources.scored:
        print(videos.describe(source, clips))
    print(f"wrote {out}: {len(sources.clips)} clips; distances are {sets[0]['extractor']}. Next: dvc repro report")


@contextlib.contextmanager
def scorer(
    settings: VideoMetricsParams, generated: Path, filtered: Path, split: Path, tokenizer: Path
) -> Iterator[Work]:
    """Yield what scores some clips of a source; in a worker."""
    images, lpips = ImageTokenizer.load(tokenizer), frame_metrics(settings)
    sources = Sources(generated, settings.models, max(settings.horizons), filtered)
    extractor = feature_extractor(settings, filtered, split)

    def score(unit: Scored, path: Path, advance: Callable[[int], object]) -> None:
        source, numbers = unit
        rows = []
        for number in numbers:
            shown = sources.videos(source, [number], images)
            clip, truth = [sources.clips[number]], sources.truth([number])
            # The truth is 80 dB from itself; only its features are asked for.
            scored = videos.score_clips(shown, truth, clip, settings.horizons, lpips if source != TRUTH else {})
            if has_distance(source):
                for row in scored:
                    found = extractor.features(shown.frames[:, : row["horizon"]])
                    row |= {
                        "features": found[0].tolist(),
                        "extractor": extractor.label,
                        "extractor_digest": extractor.digest,
                    }
            rows += scored
            advance(1)
        write_table(path, rows, SCORES)

    yield score


def distances(
    rows: Mapping[Source, Sequence[dict[str, Any]]], horizons: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Return ``videos.score_sets`` of a process with one thread: sums over more depend on what runs beside this stage."""
    return run_elsewhere("computes distances", videos.score_sets, rows, TRUTH, horizons, seed)


def has_distance(source: Source) -> bool:
    """Return whether a source's features are compared with the truth's: the control is scored frame by frame alone."""
    return source.actions != "shuffled"


def frame_metrics(settings: VideoMetricsParams) -> dict[str, videos.FrameMetric]:
    """Return LPIPS, by its column, of the networks whose weights are given."""
    weights: dict[Net, str | None] = {"vgg": settings.lpips_vgg, "alex": settings.lpips_alex}
    return {f"lpips_{net}": Lpips(net, Path(path)) for net, path in weights.items() if path is not None}


def feature_extractor(settings: VideoMetricsParams, filtered: Path, split: Path) -> features.Extractor:
    """Return I3D with the published weights, if they are given, else with random ones."""
    if settings.i3d_weights is not None:
        return features.verified(Path(settings.i3d_weights))
    calibration = training_clips(filtered, split, max(settings.horizons))
    return features.random(settings.seed, settings.i3d_pixels, calibration)


def training_clips(filtered: Path, split: Path, num_frames: int) -> NDArray[np.uint8]:
    """Return the beginnings of some training episodes, evenly spaced: uint8 [n, num_frames, H, W, 3]."""
    lengths = {(row["task"], row["demo"]): row["num_steps"] for row in read_episodes_table(filtered) if row["kept"]}
    pairs = [pair for pair in read_split(split)["train"] if lengths[pair] >= num_frames]
    if not pairs:
        raise ValueError(f"{filtered}: no training episode has {num_frames} frames; lower generate.horizons in conf/")
    chosen = np.linspace(0, len(pairs) - 1, min(CALIBRATION, len(pairs))).astype(int)
    # Copied: a slice would keep the whole episode in memory.
    return np.stack([read_episode(filtered, *pairs[place]).frames[:num_frames].copy() for place in chosen])


if __name__ == "__main__":
    console.run(main)
