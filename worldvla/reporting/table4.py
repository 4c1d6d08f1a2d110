"""The page of table 4: how well the world models predict validation clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import charts, world_models
from worldvla.reporting.clips import (
    ACTION_WORLD,
    COPY,
    FVD,
    RECONSTRUCTION,
    WORLD,
    VideoMetrics,
    each_training,
    gap,
    sources,
)
from worldvla.reporting.markdown import page, table
from worldvla.reporting.provenance import of_clips
from worldvla.reporting.published import comparability, published
from worldvla.reporting.runs import TWO_KINDS, Absent
from worldvla.reporting.scores import ABSENT, METRICS, PSNR, cell, interval, mean, number, number_interval

SUBSTITUTE = (
    "The Kinetics-400 weights of I3D are absent and its features random: this distance is a plumbing check, not "
    "evidence of motion quality, and no number of the paper belongs beside it."
)
FLOOR = (
    "The floor is the mean distance of two random halves of the true clips, by sampling alone; a prediction shares its "
    "scene with its own true clip, so it can lie lower."
)


def paper_horizons(params: ReportParams) -> dict[int, int]:
    """Return, for our shortest and our longest clips, the length in frames of the paper's: 10 and 50."""
    same = {horizon: horizon for horizon in params.horizons if horizon in (10, 50)}
    return {max(params.horizons): 50, min(params.horizons): 10} | same


def write_page(folder: Path, params: ReportParams, metrics: Mapping[str, VideoMetrics | Absent], timing: Path) -> None:
    """Write ``table4.md`` and its chart.

    Args:
        folder: the reports.
        params: what the reports are about.
        metrics: by suite.
        timing: folder of the wall-clock files.
    """
    present = [suite for suite in metrics.values() if isinstance(suite, VideoMetrics)]
    if present:
        _chart(folder / "table4.png", params, present)
    pairs = sorted(paper_horizons(params).items())
    lengths = [f"our {ours} frames stand beside its {paper}" for ours, paper in pairs]
    short = params.benchmark == "mini" and any(ours < paper for ours, paper in pairs)
    text = page(
        f"# Table 4 at scale `{params.scale}`: how well world models predict validation clips",
        f"Clips of the benchmark `{params.benchmark}`, seed {params.seed}: the first frame and all actions are given, "
        "the other frames are predicted one after the other. Scores are means over the predicted frames of a clip, "
        "without the given one, then over the trainings of a model, then over clips; in brackets the 95 % bootstrap interval over clips. Higher is "
        f"better for PSNR and SSIM, lower for LPIPS (features of VGG, unless another network is named) and FVD. {TWO_KINDS}",
        "The paper's numbers are for LIBERO and a model of 7 B, with 10 and 50 frames: "
        f"{', '.join(lengths)}{', for our demonstrations are shorter' * short}. It does not say which clips it "
        f"scored, nor whether it counts the given frame. Ours and the paper's are {comparability(params)}.",
        "![PSNR of every source](table4.png)" if present else "",
        *[block for name, suite in metrics.items() for block in _suite(params, name, suite)],
        "## Where the numbers come from",
        of_clips(present, timing),
    )
    (folder / "table4.md").write_text(text, encoding="utf-8")


def headline(params: ReportParams, metrics: Mapping[str, VideoMetrics | Absent]) -> str:
    """Return the table of the first page: PSNR of the two models and of copying, by suite and horizon."""
    header, paper = ["Suite", "Source"], paper_horizons(params)
    for horizon in params.horizons:
        header += [f"PSNR, {horizon} frames: ours", *[f"paper, {paper[horizon]} frames"] * (horizon in paper)]
    lines = []
    for name, suite in metrics.items():
        for source in (WORLD, ACTION_WORLD, COPY, RECONSTRUCTION):
            line = [name, source.label]
            for horizon in params.horizons:
                if isinstance(suite, Absent):
                    line.append(str(suite))
                else:
                    scores = suite.scores(source.name, source.actions, horizon, PSNR.column)
                    line.append(cell(scores, params.seed) or str(gap(params, suite, source.name)))
                if horizon in paper:
                    line.append(_paper(source.paper, paper[horizon], PSNR.paper))
            lines.append(line)
    return table(header, lines, right=[name for name in header if name.startswith("paper")])


def _suite(params: ReportParams, name: str, suite: VideoMetrics | Absent) -> list[str]:
    title = name.capitalize()
    blocks = [f"## {title} suite"]
    for horizon in params.horizons:
        paper = paper_horizons(params).get(horizon)
        beside = f", beside the paper's {paper}" if paper and paper != horizon else ""
        blocks += [f"### {title}: {horizon} frames{beside}", _scores(params, suite, horizon, paper)]
        if isinstance(suite, VideoMetrics):
            blocks += _distances(params, suite, horizon)
    if isinstance(suite, VideoMetrics):
        blocks += world_models.questions(params, suite, paper_horizons(params))
    return blocks


def _scores(params: ReportParams, suite: VideoMetrics | Absent, horizon: int, paper: int | None) -> str:
    papers = [f"Paper: {label}" for label in ("FVD", "PSNR", "SSIM", "LPIPS")] if paper else []
    header = ["Source", *papers, *[metric.label for metric in METRICS], FVD]
    lines = []
    for source in each_training(suite, sources(params)):
        line = [source.label]
        if paper:
            line += [_paper(source.paper, paper, column) for column in ("fvd", "psnr", "ssim", "lpips")]
        if isinstance(suite, Absent):
            lines.append([*line, str(suite), *[""] * len(METRICS)])
            continue
        scores = {metric: suite.scores(source.name, source.actions, horizon, metric.column) for metric in METRICS}
        if not scores[PSNR]:
            lines.append([*line, str(gap(params, suite, source.name)), *[""] * len(METRICS)])
            continue
        line += [cell(scores[metric], params.seed, metric.factor) for metric in METRICS]
        row = suite.distance(source.name, source.actions, horizon)
        line.append(number(row["distance"]) if row and row["extractor"] == FVD else ABSENT)
        lines.append(line)
    return table(header, lines, right=header[1:])


def _distances(params: ReportParams, suite: VideoMetrics, horizon: int) -> list[str]:
    """Return what the distance of sets is, and its table; its name is that of the features that it was taken with."""
    shown = each_training(suite, sources(params))
    found = [(source, suite.distance(source.name, source.actions, horizon)) for source in shown]
    rows = [(source, row) for source, row in found if row]
    if not rows:
        return []
    extractor = rows[0][1]["extractor"]
    header = ["Source", extractor, "95 % interval", "Floor", "N", "T", "Extractor's sha256"]
    lines = [
        [
            source.label,
            number(row["distance"]),
            number_interval(row["low"], row["high"]),
            number(row["floor"]),
            str(row["num_clips"]),
            str(horizon),
            f"`{row['extractor_digest'][:12]}`",
        ]
        for source, row in rows
    ]
    about = " ".join(
        [
            "Distance of the set of predicted clips from that of the true ones.",
            *[SUBSTITUTE] * (extractor != FVD),
            FLOOR,
        ]
    )
    return [about, table(header, lines, right=header[1:-1])]


def _paper(source: str, horizon: int, column: str) -> str:
    """Return a number of the paper; nothing for what it does not have."""
    if not source:
        return ""
    value = published("table4")[source][horizon][column]
    return f"{value:.1f}" if column == "fvd" else f"{value:.2f}"


def _chart(path: Path, params: ReportParams, present: Sequence[VideoMetrics]) -> None:
    """Draw PSNR: a group of bars per suite and horizon."""
    places = [(suite, horizon) for suite in present for horizon in params.horizons]
    series = []
    for source in sources(params):
        bars = []
        for suite, horizon in places:
            scores = suite.scores(source.name, source.actions, horizon, PSNR.column)
            value = mean(scores)
            bars.append(None if value is None else charts.Bar(value, f"{value:.1f}", interval(scores, params.seed)))
        if any(bars):
            series.append(charts.Series(source.label.replace("`", ""), source.name, bars))
    highest = max((bar.interval or (0, bar.value))[1] for one in series for bar in one.bars if bar) if series else 10
    ticks = range(0, 10 * int(highest // 10 + 2), 10)
    names = [f"{suite.suite} suite, {horizon} frames" for suite, horizon in places]
    title = f"Table 4 on the benchmark {params.benchmark}, scale {params.scale}, seed {params.seed}"
    charts.draw(path, names, series, title, "PSNR, dB", ticks, 2 * len(params.horizons))
