"""The page of table 4: how well the world models predict validation clips, and what they make of the action."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldvla.metrics.bootstrap import mean_interval
from worldvla.params.report import ReportParams
from worldvla.params.trainings import model_name
from worldvla.reporting.inference import effects
from worldvla.reporting.inference.effects import NO_SCORE, interval_of, signed, span
from worldvla.reporting.inference.published import comparability, published
from worldvla.reporting.inputs.clips import (
    ACTION_WORLD,
    COPY,
    FVD,
    RECONSTRUCTION,
    WORLD,
    Scores,
    Source,
    VideoMetrics,
    gap,
    paper_horizons,
    sources,
)
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent
from worldvla.reporting.markdown import folded, page, table
from worldvla.reporting.pages.rates import reads
from worldvla.reporting.pictures import forest
from worldvla.reporting.provenance import link

ONE_CLIP = "one clip: no interval"
SUBSTITUTE = (
    "The Kinetics-400 weights of I3D are absent and its features random: this distance is a plumbing check, not "
    "evidence of motion quality, and no number of the paper belongs beside it."
)
DISTANCE = (
    "Distance of the set of predicted clips from that of the true ones, the mean of the trainings'. RynnVLA-002's script, the "
    "nearest that the authors published, counts the given first frame, and takes covariances over N with 1e-6 on the diagonal "
    "(biased)."
)
FLOOR = (
    "The floor is the mean distance of two random halves of the true clips, by sampling alone; a prediction shares its "
    "scene with its own true clip, so it can lie lower."
)


@dataclass(frozen=True)
class Metric:
    """A score of a clip, as tables show it."""

    column: str  # of clips.parquet
    label: str
    paper: str  # of published.yaml; empty: the paper has it not
    factor: float = 1.0
    unit: str = ""


PSNR = Metric("psnr", "PSNR, dB", "psnr", unit="dB")
SSIM = Metric("ssim", "SSIM x100", "ssim", 100)
LPIPS = Metric("lpips_vgg", "LPIPS x100", "lpips", 100)  # features of VGG, as upstream's; lower is better
METRICS = (PSNR, SSIM, LPIPS)


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``table4.md`` and its chart."""
    params = inputs.params
    longer = effects.times_as_long(params, ACTION_WORLD.name, WORLD.name)
    longer = longer and f"The {ACTION_WORLD.label} was trained {longer} as the {WORLD.label}."
    present = [suite for suite in inputs.metrics.values() if isinstance(suite, VideoMetrics)]
    drawn = _chart(folder / "table4.png", params, present)
    pairs = sorted(paper_horizons(params).items())
    lengths = [f"our {ours} frames stand beside its {paper}" for ours, paper in pairs]
    short = params.benchmark == "mini" and any(ours < paper for ours, paper in pairs)
    text = page(
        f"# Table 4 at scale `{params.scale}`: how well world models predict validation clips",
        f"{inputs.about} The first frame and all actions are given, the other frames are predicted one after the other. Scores "
        "are means over the predicted frames of a clip, without the given one, then over the trainings of a model, then over "
        "clips; in brackets the 95 % bootstrap interval over clips, of these trainings, and SD, how far single trainings spread. "
        f"Higher is better for PSNR and SSIM, lower for LPIPS (features of VGG) and FVD. {longer}",
        "The paper's numbers are for LIBERO and a model of 7 B, with 10 and 50 frames: "
        f"{', '.join(lengths)}{', for our demonstrations are shorter' * short}. It does not say which clips it "
        f"scored, nor whether it counts the given frame. Ours and the paper's are {comparability(params)}.",
        "![PSNR of every source](table4.png)" if drawn else "",
        *[block for name, suite in inputs.metrics.items() for block in _suite(inputs, name, suite)],
    )
    (folder / "table4.md").write_text(text, encoding="utf-8")


def headline(inputs: Inputs) -> str:
    """Return the table of the first page: PSNR and SSIM of the two models, of copying and of the ceiling."""
    params, paper = inputs.params, paper_horizons(inputs.params)
    header, lines = ["Suite", "Source"], []
    for horizon in params.horizons:
        beside = f" (paper, {paper[horizon]} frames)" if horizon in paper else ""
        header += [f"{name}, {horizon} frames{beside}" for name in ("PSNR", "SSIM")]
    for name, suite in inputs.metrics.items():
        for source in (WORLD, ACTION_WORLD, COPY, RECONSTRUCTION):
            line = [name, source.label]
            for horizon in params.horizons:
                for metric in (PSNR, SSIM):
                    beside = _paper(source.paper, paper[horizon], metric.paper) if horizon in paper else ""
                    words = _cell(params, suite, source, horizon, metric)
                    line.append(f"{words} ({beside})" if beside else words)
            lines.append(line)
    return table(header, lines)


def _suite(inputs: Inputs, name: str, suite: VideoMetrics | Absent) -> list[str]:
    params, title = inputs.params, name.capitalize()
    blocks = [f"## {title} suite"]
    for horizon in params.horizons:
        paper = paper_horizons(params).get(horizon)
        beside = f", beside the paper's {paper}" if paper and paper != horizon else ""
        blocks += [f"### {title}: {horizon} frames{beside}", _scores(params, suite, horizon, paper)]
    if isinstance(suite, Absent) or not suite.models:
        return blocks
    return [
        *blocks,
        f"Made of {link('these models', f'clips-{name}')}.",
        f"### {title}: action world model against world model",
        "On the same clips. By the interval over trainings alone a score is called higher or lower.",
        _against_world(params, suite),
        f"### {title}: does the model use the action, and does it beat copying?",
        "The score with the true actions minus that with those of another order over all clips: a model that does not look at "
        "the action scores the same. And minus that of the given frame, repeated: most of a scene stands still, so copying is "
        "not easy to beat. A model draws with the tokenizer's codes, which lose texture wherever they are; the copy keeps it, and "
        "SSIM counts it: compare the reconstruction's. Of a model with itself or with a picture: intervals over clips.",
        _questions(params, suite),
        folded("Distances of sets, and the way of the successor's script", *_distances(params, suite)),
    ]


def _scores(params: ReportParams, suite: VideoMetrics | Absent, horizon: int, paper: int | None) -> str:
    papers = ("fvd", "psnr", "ssim", "lpips") if paper else ()
    lines = []
    for source in sources(params):
        line = [source.label, *[_paper(source.paper, paper, column) for column in papers if paper]]
        line += [_cell(params, suite, source, horizon, metric) for metric in METRICS]
        row = suite.distance(source.name, source.actions, horizon) if isinstance(suite, VideoMetrics) else None
        lines.append([*line, _number(row["distance"]) if row and row["extractor"] == FVD else NO_SCORE if row else ""])
    header = ["Source", *[f"Paper: {column.upper()}" for column in papers], *[metric.label for metric in METRICS], FVD]
    return table(header, lines, right=header[1 : 1 + len(papers)])


def _cell(
    params: ReportParams, suite: VideoMetrics | Absent, source: Source, horizon: int, metric: Metric, suffix: str = ""
) -> str:
    """Return the mean of the clips, its interval and the spread of the trainings, or why there is none."""
    if isinstance(suite, Absent):
        return str(suite)
    scores = suite.scores(source.name, source.actions, horizon, metric.column + suffix)
    if not scores:
        return str(gap(params, suite, source.name))
    values = _values(scores, metric.factor)
    if isinstance(values, str):
        return values
    if len(values) < 2:
        return f"{values.mean():.2f} ({ONE_CLIP})"
    low, high = mean_interval(values, params.seed)
    own = _own(suite, source, horizon, metric)
    spread = f"; SD {np.std(own, ddof=1):.2f}" if len(own) > 1 and not suffix else ""
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f}){spread}"


def _own(suite: VideoMetrics, source: Source, horizon: int, metric: Metric) -> list[float]:
    """Return the mean of each training of a model; nothing of a baseline."""
    return [_mean(suite, model_name(source.name, one), horizon, metric) for one in suite.trainings(source.name)]


def _mean(suite: VideoMetrics, name: str, horizon: int, metric: Metric) -> float:
    values = _values(suite.scores(name, "true", horizon, metric.column), metric.factor)
    return math.nan if isinstance(values, str) else float(values.mean())


def _values(scores: Scores, factor: float) -> np.ndarray | str:
    """Return the scores of the clips (float, [clips]), or why they have no mean."""
    if any(value is None for value in scores.values()):
        return NO_SCORE
    values = factor * np.array(list(scores.values()), np.float64)
    wrong = int((~np.isfinite(values)).sum())
    return f"not a number in {wrong} of {len(values)} scores" if wrong else values


def _against_world(params: ReportParams, suite: VideoMetrics) -> str:
    lines = []
    for horizon in params.horizons:
        for metric in (*METRICS, Metric("fvd", FVD, "fvd")):
            names, only = (ACTION_WORLD.name, WORLD.name), {suite.suite: suite}
            found = effects.clips(params, only, names, horizon, metric.column, metric.factor, metric.unit)
            paper = paper_horizons(params).get(horizon)
            beside = ""
            if paper:
                first, second = (
                    published("table4", source.paper)[paper][metric.paper] for source in (ACTION_WORLD, WORLD)
                )
                beside = f"{first - second:+.2f}"
            line = [str(horizon), metric.label]
            if isinstance(found, str):
                lines.append([*line, found, "", "", "", beside])
                continue
            ends = span(interval_of(found.trainings), metric.unit), span(found.beside, metric.unit)
            lines.append([*line, reads(params, found), signed(found.value, metric.unit), *ends, beside])
    header = ["Frames", "Metric", "Verdict", "Ours", "Over trainings", "Over clips", "Paper"]
    return table(header, lines, right=["Frames", "Ours", "Over trainings", "Over clips", "Paper"])


def _questions(params: ReportParams, suite: VideoMetrics) -> str:
    lines = []
    for source in [one for one in sources(params) if one.name in suite.models]:
        for horizon in params.horizons:
            for metric in (PSNR, SSIM):
                line = [source.label, str(horizon), metric.label]
                for other in (Source(source.name, "shuffled", ""), COPY):
                    line.append(_difference(params, suite, (source, other), horizon, metric))
                lines.append(line)
    header = ["Model", "Frames", "Metric", "True minus shuffled actions", "Model minus copy"]
    return table(header, lines, right=["Frames"])


def _difference(
    params: ReportParams, suite: VideoMetrics, pair: tuple[Source, Source], horizon: int, metric: Metric
) -> str:
    """Return the difference of two sources on the clips that both have, with its interval and what it says."""
    first, second = (suite.scores(one.name, one.actions, horizon, metric.column) for one in pair)
    shared = [clip for clip in first if clip in second]
    if not shared:
        return "no clip in common"
    left, right = (_values({clip: side[clip] for clip in shared}, metric.factor) for side in (first, second))
    if isinstance(left, str) or isinstance(right, str):
        return left if isinstance(left, str) else str(right)
    values = left - right
    if len(values) < 2:
        return f"{values.mean():+.2f} ({ONE_CLIP})"
    low, high = mean_interval(values, params.seed)
    way = "open" if low <= 0 <= high else "better" if low > 0 else "worse"
    return f"{values.mean():+.2f} ({span((low, high), 'dB')}): {way}"


def _distances(params: ReportParams, suite: VideoMetrics) -> list[str]:
    """Return what the distance of sets is, and its table; its name is that of the features that it was taken with."""
    lines, extractor = [], FVD
    for source in sources(params):
        for horizon in params.horizons:
            row = suite.distance(source.name, source.actions, horizon)
            if row is None:
                continue
            extractor = row["extractor"]
            line = [source.label, str(horizon), _number(row["distance"]), _number(row["floor"]), str(row["num_clips"])]
            with_first = [_cell(params, suite, source, horizon, metric, "_with_first") for metric in (PSNR, SSIM)]
            lines.append([*line, _number(row["upstream_distance"]), *with_first])
    if not lines:
        return []
    header = ["Source", "Frames", extractor, "Floor", "N", f"{extractor}, biased", "PSNR with first", "SSIM with first"]
    substitute = [SUBSTITUTE] * (extractor != FVD)
    return [" ".join([DISTANCE, *substitute, FLOOR]), table(header, lines, right=header[1:6])]


def _number(value: float | None) -> str:
    return f"{value:.1f}" if value is not None and math.isfinite(value) else "no distance"


def _paper(source: str, horizon: int, column: str) -> str:
    """Return a number of the paper; nothing for what it does not have."""
    if not source:
        return ""
    value = published("table4", source)[horizon][column]
    return f"{value:.1f}" if column == "fvd" else f"{value:.2f}"


def _chart(path: Path, params: ReportParams, present: Sequence[VideoMetrics]) -> bool:
    """Draw PSNR, a line per source and length; return whether there was any."""
    lines = []
    for suite in present:
        for horizon in params.horizons:
            for source in sources(params):
                values = _values(suite.scores(source.name, source.actions, horizon, PSNR.column), 1)
                if not isinstance(values, str) and values.size:
                    own = _own(suite, source, horizon, PSNR)
                    ends = mean_interval(values, params.seed) if values.size > 1 else None
                    label = f"{suite.suite}, {horizon} frames: {source.label}".replace("`", "")
                    lines.append(forest.Line(label, float(values.mean()), ends, None, {}, own))
    title = f"Table 4 on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
    top = 1.1 * max((line.value for line in lines), default=1)
    return forest.draw(path, lines, title, "PSNR, dB", limits=(0, top), units="clips")


def summary(inputs: Inputs) -> Mapping[str, Mapping[str, float]]:
    """Return PSNR in dB of the longest clips by suite and model, as far as it is there."""
    horizon = max(inputs.params.horizons)
    return {
        name: {one: round(mean, 2) for one in suite.models if math.isfinite(mean := _mean(suite, one, horizon, PSNR))}
        for name, suite in inputs.metrics.items()
        if isinstance(suite, VideoMetrics)
    }
