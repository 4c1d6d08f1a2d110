"""Cells and comparisons of clip scores: means with bootstrap intervals, and differences on the same clips."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from worldvla.metrics.bootstrap import PairedMeans, mean_interval, paired_difference
from worldvla.reporting.clips import Scores

ABSENT = "not computed: weights absent"
ONE_CLIP = "one clip: no interval"


@dataclass(frozen=True)
class Metric:
    """A score of a clip, as tables show it."""

    column: str  # of clips.parquet
    label: str
    paper: str  # of published.yaml; empty: the paper has it not
    factor: float = 1.0
    higher_is_better: bool = True


PSNR = Metric("psnr", "PSNR, dB", "psnr")
SSIM = Metric("ssim", "SSIM x100", "ssim", 100)
LPIPS = Metric("lpips_vgg", "LPIPS x100", "lpips", 100, higher_is_better=False)  # features of VGG, as upstream's
LPIPS_ALEX = Metric("lpips_alex", "LPIPS (AlexNet) x100", "", 100, higher_is_better=False)
METRICS = (PSNR, SSIM, LPIPS, LPIPS_ALEX)


def cell(scores: Scores, seed: int, factor: float = 1.0) -> str:
    """Return the mean of the clips and its interval, or why there is none; nothing if there are no clips."""
    if not scores:
        return ""
    if fault := _fault(scores.values()):
        return fault
    values = _array(scores, factor)
    if len(values) < 2:
        return f"{values.mean():.2f} ({ONE_CLIP})"
    low, high = mean_interval(values, seed)
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def mean(scores: Scores, factor: float = 1.0) -> float | None:
    """Return the mean of the clips, or None where a clip has no finite score."""
    return None if not scores or _fault(scores.values()) else float(_array(scores, factor).mean())


def interval(scores: Scores, seed: int, factor: float = 1.0) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean, or None where there is none."""
    return None if len(scores) < 2 or _fault(scores.values()) else mean_interval(_array(scores, factor), seed)


def compare(first: Scores, second: Scores, seed: int, factor: float = 1.0) -> PairedMeans | str:
    """Compare two sources on the clips that both have, or say why that is not possible."""
    shared = [clip for clip in first if clip in second]
    a, b = {clip: first[clip] for clip in shared}, {clip: second[clip] for clip in shared}
    if not shared:
        return "no clip in common"
    if fault := _fault([*a.values(), *b.values()]):
        return fault
    if len(shared) < 2:
        return ONE_CLIP
    return paired_difference(_array(a, factor), _array(b, factor), seed)


def difference(result: PairedMeans | str) -> list[str]:
    """Return the cells of a comparison: number of clips, difference, interval."""
    if isinstance(result, str):
        return ["", result, ""]
    return [str(result.num_clips), f"{result.difference:+.2f}", f"{result.low:+.2f} to {result.high:+.2f}"]


def direction(result: PairedMeans | str) -> str:
    """Return 'higher' or 'lower' where the interval excludes zero, else 'inconclusive'; nothing if not compared."""
    if isinstance(result, str):
        return ""
    if result.low <= 0 <= result.high:
        return "inconclusive"
    return "higher" if result.difference > 0 else "lower"


def number(value: float | None) -> str:
    """Return a distance of sets, or why there is none."""
    return f"{value:.1f}" if value is not None and math.isfinite(value) else "no distance"


def number_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a distance, or why there is none."""
    if low is None or high is None or not math.isfinite(low + high):
        return "no interval"
    return f"{low:.1f} to {high:.1f}"


def _array(scores: Scores, factor: float) -> np.ndarray:
    return factor * np.array(list(scores.values()), np.float64)


def _fault(values: Iterable[float | None]) -> str:
    """Return why scores have no mean; nothing if they have one."""
    listed = list(values)
    if any(value is None for value in listed):
        return ABSENT
    wrong = sum(not math.isfinite(value) for value in listed if value is not None)
    return f"not a number in {wrong} of {len(listed)} scores" if wrong else ""
