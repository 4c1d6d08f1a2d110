"""Videos against the truth: one row of scores per clip, one of distances per set of clips.

A clip of T frames has a given first frame and T - 1 others. A model's first frame is the given one, so it is left out of
the scores: identical frames count 80 dB, which makes a clip of 10 frames up to 6 dB better. The columns with the suffix
``_with_first`` count it, as the script of the paper's successor does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worldvla.metrics import frechet
from worldvla.metrics.frames import psnr, ssim

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
EXTRACTOR_NAMES = ("extractor", "extractor_digest")  # the label of its distances, the sha256 of its weights
EXTRACTOR = [(name, pa.string()) for name in EXTRACTOR_NAMES]
SETS = pa.schema(
    [
        *_KEYS,
        ("num_clips", pa.int32()),
        *EXTRACTOR,
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
class Source:
    """Who shows clips.

    ``name`` is a variant, ``copy`` (the given frame all the time), ``reconstruction`` (the truth through the image
    tokenizer: the best that its codes can show) or ``truth``. ``actions`` is ``true``, ``shuffled`` (the control), or
    ``none``.
    """

    name: str
    actions: str


@dataclass(frozen=True)
class Videos:
    """Clips as one source shows them.

    ``frames`` are uint8 [clips, T, H, W, 3]; ``code_accuracy`` [clips], if the source has one.
    """

    source: Source
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
            row = {"source": videos.source.name, "actions": videos.source.actions, "horizon": horizon}
            row |= {"task": clip.task, "demo": clip.demo, "language": clip.language}
            for name in METRICS:
                row[name] = scores[name][1:horizon].mean() if name in scores else None
                row[f"{name}_with_first"] = scores[name][:horizon].mean() if name in scores else None
            row["code_accuracy"] = videos.code_accuracy[number] if videos.code_accuracy else None
            rows.append(row)
    return rows


def score_sets(
    rows: Mapping[Source, Sequence[dict[str, Any]]], truth: Source, horizons: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Return the rows of ``SETS``: the distance of every source from the truth at every horizon.

    Args:
        rows: of every source, one per clip and horizon, in the order of the clips: ``horizon``, ``features`` (float [400])
            and the ``EXTRACTOR`` that made them, whose label names the distances.
        truth: the source that is the truth.
        horizons: lengths in frames.
        seed: of the bootstrap and of the halves that the floor is measured on.

    Raises:
        ValueError: the features are of more than one extractor.
    """
    made_by = {tuple(row[name] for name in EXTRACTOR_NAMES) for members in rows.values() for row in members}
    if len(made_by) > 1:
        raise ValueError(
            f"features are of {len(made_by)} extractors, {sorted(made_by)}; expected one; the workers' machines differ in "
            "their arithmetic: delete work/video_metrics and run it on machines of one kind"
        )
    scored = []
    for horizon in horizons:
        features = {
            source: np.array([row["features"] for row in members if row["horizon"] == horizon])
            for source, members in rows.items()
        }
        true = features.pop(truth)
        floor = frechet.floor(true, seed=seed) if len(true) >= MIN_CLIPS_FOR_FLOOR else None
        for source, found in features.items():
            low, high = frechet.bootstrap_interval(found, true, seed=seed)
            scored.append(
                {
                    "source": source.name,
                    "actions": source.actions,
                    "horizon": horizon,
                    "num_clips": len(found),
                    **dict(zip(EXTRACTOR_NAMES, next(iter(made_by)), strict=True)),
                    "distance": frechet.frechet_distance(found, true),
                    "low": low,
                    "high": high,
                    "upstream_distance": frechet.upstream_distance(found, true),
                    "floor": floor,
                }
            )
    return scored


def describe(source: Source, rows: Sequence[dict[str, Any]]) -> str:
    """Return a line on one source for people: its mean PSNR at every horizon."""
    psnr_by_horizon: dict[int, list[float]] = {}
    for row in rows:
        if (row["source"], row["actions"]) == (source.name, source.actions):
            psnr_by_horizon.setdefault(row["horizon"], []).append(row["psnr"])
    means = ", ".join(f"{np.mean(values):.2f} dB at {horizon} frames" for horizon, values in psnr_by_horizon.items())
    actions = "" if source.actions == "none" else f" with {source.actions} actions"
    return f"{source.name}{actions}: PSNR {means}"
