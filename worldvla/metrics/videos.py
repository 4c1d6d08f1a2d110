"""Videos against the truth: one row of scores per clip, one of distances per set of clips.

A clip of T frames has a given first frame and T - 1 others. A model's first frame is the given one, so it is left out of
the scores: identical frames count 80 dB, which makes a clip of 10 frames up to 6 dB better. The columns with the suffix
``_with_first`` count it, as the script of the paper's successor does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worldvla.files import atomic_file
from worldvla.metrics import frechet
from worldvla.metrics.frames import psnr, ssim
from worldvla.metrics.i3d.features import Extractor

MIN_CLIPS_FOR_FLOOR = 4  # below, halves of the truth have no covariance
METRICS = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
_KEYS = [("source", pa.string()), ("actions", pa.string()), ("horizon", pa.int32())]
CLIPS = pa.schema(
    [
        *_KEYS,
        *((name, pa.string()) for name in ("task", "demo", "language")),
        *((name, pa.float64()) for name in METRICS),
        *((f"{name}_with_first", pa.float64()) for name in METRICS),
        ("code_accuracy", pa.float64()),
    ]
)
SETS = pa.schema(
    [
        *_KEYS,
        ("num_clips", pa.int32()),
        ("extractor", pa.string()),
        ("extractor_digest", pa.string()),
        *((name, pa.float64()) for name in ("distance", "low", "high", "upstream_distance", "floor")),
    ]
)


@dataclass(frozen=True)
class Clip:
    """Which episode a clip is the beginning of."""

    task: str
    demo: str
    language: str


@dataclass(frozen=True)
class Videos:
    """The clips as one source shows them.

    ``source`` is a variant, ``copy`` (the given frame all the time) or ``reconstruction`` (the truth through the image
    tokenizer: the best that its codes can show). ``actions`` is ``true``, ``shuffled`` (the control), or ``none``.
    ``frames`` are uint8 [clips, T, H, W, 3]; ``code_accuracy`` [clips], if the source has one.
    """

    source: str
    actions: str
    frames: NDArray[np.uint8]
    code_accuracy: Sequence[float | None] | None = None


class FrameMetric(Protocol):
    """A score per frame."""

    def __call__(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return [T] for uint8 frames [T, H, W, 3]."""
        ...


def score_clips(
    videos: Videos,
    truth: NDArray[np.uint8],
    clips: Sequence[Clip],
    horizons: Sequence[int],
    lpips: Mapping[str, FrameMetric],
) -> list[dict[str, Any]]:
    """Return the rows of ``CLIPS`` of one source: the mean over each clip's first frames, for every horizon.

    Args:
        videos: what is scored.
        truth: uint8 [clips, T, H, W, 3].
        clips: which they are.
        horizons: lengths in frames, T at most.
        lpips: column -> metric; a column that is not in it is null.
    """
    metrics = {"psnr": psnr, "ssim": ssim, **lpips}
    rows = []
    for number, clip in enumerate(clips):
        scores = {name: metric(videos.frames[number], truth[number]) for name, metric in metrics.items()}
        for horizon in horizons:
            row = {"source": videos.source, "actions": videos.actions, "horizon": horizon}
            row |= {"task": clip.task, "demo": clip.demo, "language": clip.language}
            for name in METRICS:
                row[name] = scores[name][1:horizon].mean() if name in scores else None
                row[f"{name}_with_first"] = scores[name][:horizon].mean() if name in scores else None
            row["code_accuracy"] = videos.code_accuracy[number] if videos.code_accuracy else None
            rows.append(row)
    return rows


def score_sets(
    sources: Sequence[Videos],
    truth: NDArray[np.uint8],
    horizons: Sequence[int],
    extractor: Extractor,
    seed: int,
    work: Path,
    done: Callable[[int], object],
) -> list[dict[str, Any]]:
    """Return the rows of ``SETS``: the distance of every source from the truth at every horizon.

    Args:
        sources: what is scored, no two of one name.
        truth: uint8 [clips, T, H, W, 3].
        horizons: lengths in frames, T at most.
        extractor: what makes the features; its label names the distances.
        seed: of the bootstrap and of the halves that the floor is measured on.
        work: folder that keeps the features, to go on from after an interruption.
        done: told the number of clips after each that has passed the network.
    """
    rows = []
    for horizon in horizons:
        extract = partial(_extract, extractor=extractor, horizon=horizon, work=work, done=done)
        true_features = extract("truth", truth)
        floor = frechet.floor(true_features, seed=seed) if len(truth) >= MIN_CLIPS_FOR_FLOOR else None
        for source in sources:
            features = extract(source.source, source.frames)
            low, high = frechet.bootstrap_interval(features, true_features, seed=seed)
            rows.append(
                {
                    "source": source.source,
                    "actions": source.actions,
                    "horizon": horizon,
                    "num_clips": len(features),
                    "extractor": extractor.label,
                    "extractor_digest": extractor.digest,
                    "distance": frechet.frechet_distance(features, true_features),
                    "low": low,
                    "high": high,
                    "upstream_distance": frechet.upstream_distance(features, true_features),
                    "floor": floor,
                }
            )
    return rows


def _extract(
    name: str,
    frames: NDArray[np.uint8],
    extractor: Extractor,
    horizon: int,
    work: Path,
    done: Callable[[int], object],
) -> NDArray[np.float64]:
    """Return the features of the beginnings of clips, from the work folder if they are there."""
    path = work / f"{extractor.digest[:16]}-{name}-{horizon}.npy"
    if path.exists():
        done(len(frames))
        return np.load(path)
    rows = []
    for clip in frames:
        rows.append(extractor.features(clip[None, :horizon]))
        done(1)
    features = np.concatenate(rows)
    with atomic_file(path) as scratch:
        np.save(scratch, features)
    return features


def describe(videos: Videos, rows: Sequence[dict[str, Any]]) -> str:
    """Return a line on one source for people: its mean PSNR at every horizon."""
    psnr_by_horizon: dict[int, list[float]] = {}
    for row in rows:
        if (row["source"], row["actions"]) == (videos.source, videos.actions):
            psnr_by_horizon.setdefault(row["horizon"], []).append(row["psnr"])
    means = ", ".join(f"{np.mean(values):.2f} dB at {horizon} frames" for horizon, values in psnr_by_horizon.items())
    actions = "" if videos.actions == "none" else f" with {videos.actions} actions"
    return f"{videos.source}{actions}: PSNR {means}"
