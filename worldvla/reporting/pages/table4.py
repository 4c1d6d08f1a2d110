"""The page of table 4: how well the world models predict validation clips, and what they make of the action."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from worldvla.params.report import ReportParams
from worldvla.reporting.inference import effects
from worldvla.reporting.inference.effects import Effect
from worldvla.reporting.inference.measured import NO_SCORE, ONE_CLIP, Measured, Side, score
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.clips import (
    ACTION_WORLD,
    COPY,
    FVD,
    RECONSTRUCTION,
    WORLD,
    Source,
    VideoMetrics,
    paper_horizons,
    sources,
)
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent
from worldvla.reporting.pages.template import render, write
from worldvla.reporting.pictures import forest
from worldvla.reporting.words import number, span


@dataclass(frozen=True)
class Metric:
    """A score of a clip, as tables show it."""

    column: str  # of clips.parquet; fvd: of sets.parquet
    label: str
    paper: str  # of published.yaml
    factor: float = 1.0
    unit: str = ""


PSNR = Metric("psnr", "PSNR, dB", "psnr", unit="dB")
SSIM = Metric("ssim", "SSIM x100", "ssim", 100)
LPIPS = Metric("lpips_vgg", "LPIPS x100", "lpips", 100)  # features of VGG, as upstream's; lower is better


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``table4.md`` and its chart."""
    params, papers = inputs.params, paper_horizons(inputs.params)
    write(
        folder / "table4.md",
        inputs,
        papers=papers,
        short=params.benchmark == "mini" and any(ours < paper for ours, paper in papers.items()),
        drawn=_draw(folder / "table4.png", inputs),
        longer=effects.times_as_long(params, ACTION_WORLD.name, WORLD.name),
        trained=(ACTION_WORLD.label, WORLD.label),
        metrics=inputs.metrics,
        sources=sources(params),
        scores=(PSNR, SSIM, LPIPS),
        fvd=Metric("fvd", FVD, "fvd"),
        published=_paper,
        cell=partial(_cell, params),
        fvd_of=_fvd,
        against=partial(_against, params),
        paper_apart=partial(_paper_apart, params),
        apart=partial(_apart, params),
        distances=partial(_distances, params),
    )


def headline(inputs: Inputs) -> str:
    """Return the table of the first page: PSNR and SSIM of the two models, of copying and of the ceiling."""
    return render(
        "headline_table4",
        horizons=inputs.params.horizons,
        papers=paper_horizons(inputs.params),
        metrics=(PSNR, SSIM),
        suites=inputs.metrics,
        sources=(WORLD, ACTION_WORLD, COPY, RECONSTRUCTION),
        published=_paper,
        cell=partial(_cell, inputs.params),
    )


def _cell(
    params: ReportParams, suite: VideoMetrics | Absent, source: Source, horizon: int, metric: Metric, suffix: str = ""
) -> Measured | str:
    """Return the mean of the clips, or why there is none."""
    if isinstance(suite, Absent):
        return str(suite)
    side = source.name, source.actions
    return score(params, suite, side, horizon, metric.column + suffix, metric.factor)


def _fvd(suite: VideoMetrics | Absent, source: Source, horizon: int) -> str:
    row = suite.distance(source.name, source.actions, horizon) if isinstance(suite, VideoMetrics) else None
    return "" if row is None else number(row["distance"]) if row["extractor"] == FVD else NO_SCORE


def _against(params: ReportParams, suite: VideoMetrics, horizon: int, metric: Metric) -> Effect | str:
    """Compare the action world model with the world model."""
    sides = [(source.name, source.actions) for source in (ACTION_WORLD, WORLD)]
    only = {suite.suite: suite}
    return effects.clips(params, only, sides, horizon, metric.column, metric.factor, metric.unit)


def _paper_apart(params: ReportParams, horizon: int, metric: Metric) -> str:
    """Return by how much they differ in the paper."""
    paper = paper_horizons(params).get(horizon)
    if paper is None:
        return ""
    first, second = (published("table4", source.paper)[paper][metric.paper] for source in (ACTION_WORLD, WORLD))
    return f"{first - second:+.2f}"


def _apart(params: ReportParams, suite: VideoMetrics, source: Source, other: Side, horizon: int, metric: Metric) -> str:
    """Return how much better a model scores than something else on the clips that both have, and what its interval says."""
    sides = [(source.name, source.actions), other]
    found = effects.clips(params, {suite.suite: suite}, sides, horizon, metric.column, metric.factor)
    if isinstance(found, str):
        return found
    if found.beside is None:
        return f"{found.value:+.2f} ({ONE_CLIP})"
    low, high = found.beside
    way = "open" if low <= 0 <= high else "better" if low > 0 else "worse"
    return f"{found.value:+.2f} ({span(found.beside, found.unit)}): {way}"


def _distances(params: ReportParams, suite: VideoMetrics) -> list[dict[str, Any]]:
    """Return the distances of sets, with the features that they were taken with."""
    return [
        row | {"source": source}
        for source in sources(params)
        for horizon in params.horizons
        if (row := suite.distance(source.name, source.actions, horizon))
    ]


def _paper(source: Source, horizon: int, column: str) -> str:
    """Return a number of the paper; nothing for what it does not have."""
    if not source.paper:
        return ""
    value = published("table4", source.paper)[horizon][column]
    return f"{value:.1f}" if column == "fvd" else f"{value:.2f}"


def _draw(path: Path, inputs: Inputs) -> bool:
    """Draw PSNR, a line per source and length; return whether there was any."""
    params, lines = inputs.params, []
    for name, suite in inputs.metrics.items():
        for horizon in params.horizons:
            for source in sources(params):
                found = _cell(params, suite, source, horizon, PSNR)
                if isinstance(found, Measured):
                    label = f"{name}, {horizon} frames: {source.label}".replace("`", "")
                    lines.append(forest.Line(label, found, {}))
    title = f"Table 4 on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
    top = 1.1 * max((line.found.value for line in lines), default=1)
    return forest.draw(path, lines, title, "PSNR, dB", limits=(0, top), units="clips")


def summary(inputs: Inputs) -> Mapping[str, Mapping[str, float]]:
    """Return PSNR in dB of the longest clips by suite and model, as far as it is there."""
    params, found = inputs.params, {}
    for name, suite in inputs.metrics.items():
        if isinstance(suite, VideoMetrics):
            scores = {
                one: score(params, suite, (one, "true"), max(params.horizons), PSNR.column, 1) for one in suite.models
            }
            found[name] = {one: round(mean.value, 2) for one, mean in scores.items() if isinstance(mean, Measured)}
    return found
