"""What table 4 asks of the world models: do they use the action, beat copying, and does the action model help them."""

import itertools
from collections.abc import Callable, Mapping

from worldvla.metrics.bootstrap import PairedMeans
from worldvla.params.report import ReportParams
from worldvla.reporting.clips import ACTION_WORLD, COPY, FVD, WORLD, Source, VideoMetrics, sources
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.scores import (
    METRICS,
    PSNR,
    SSIM,
    Metric,
    cell,
    compare,
    difference,
    direction,
    mean,
    number,
    number_interval,
)

USES = {"higher": "uses the action", "lower": "better with wrong actions", "inconclusive": "inconclusive"}
BEATS = {"higher": "beats copying", "lower": "copying is better", "inconclusive": "inconclusive"}


def questions(params: ReportParams, suite: VideoMetrics, paper_horizons: Mapping[int, int]) -> list[str]:
    """Return the blocks of one suite: paired comparisons over the same clips, and other ways to score.

    Args:
        params: what the reports are about.
        suite: the scored clips.
        paper_horizons: our length in frames -> the paper's beside it.
    """
    if not suite.models:
        return []
    title = suite.suite.capitalize()
    return [
        f"### {title}: does the model use the action?",
        "The score with the true actions minus that with those of another order over all clips: a model that does not "
        "look at the action scores the same. Here and below, differences are over the same clips, with a bootstrap "
        "interval; they are read as higher or lower where it excludes zero.",
        _against(params, suite, lambda source: Source(source.name, "shuffled", ""), ("True", "Shuffled"), USES),
        f"### {title}: does it beat copying?",
        "The score of the model minus that of the given frame, repeated: most of a scene stands still, so copying is not "
        "easy to beat. A model draws with the tokenizer's codes, which lose texture wherever they are; the copy keeps it, "
        "and SSIM counts it: compare the reconstruction's SSIM above.",
        _against(params, suite, lambda _: COPY, ("Model", "Copy"), BEATS),
        f"### {title}: action world model against world model",
        _against_world(params, suite, paper_horizons),
        f"### {title}: as the successor's script does",
        "RynnVLA-002's script is the nearest that the authors published: it counts the given first frame, and its "
        "distance takes covariances over N with 1e-6 on the diagonal.",
        _upstream(params, suite),
        f"### {title}: codes, with everything before them true",
        "Share of the codes of all frames after the first that come out right if every frame and every code before "
        "is the true one, in percent: no error adds up here.",
        _code_accuracy(params, suite),
    ]


def _models(params: ReportParams, suite: VideoMetrics) -> list[Source]:
    return [source for source in sources(params) if source.name in suite.models]


def _against(
    params: ReportParams,
    suite: VideoMetrics,
    other: Callable[[Source], Source],
    names: tuple[str, str],
    words: Mapping[str, str],
) -> str:
    """Return a table of the models' PSNR and SSIM against those of another source."""
    header = ["Model", "Frames", "Score", *names, "n", "Difference", "95 % interval", "Reads"]
    lines = []
    for model, horizon, metric in itertools.product(_models(params, suite), params.horizons, (PSNR, SSIM)):
        first, second = (
            suite.scores(source.name, source.actions, horizon, metric.column) for source in (model, other(model))
        )
        result = compare(first, second, params.seed, metric.factor)
        means = [
            "" if (value := mean(scores)) is None else f"{metric.factor * value:.2f}" for scores in (first, second)
        ]
        reads = words.get(direction(result), "")
        lines.append([model.label, str(horizon), metric.label, *means, *difference(result), reads])
    return table(header, lines, right=[name for name in header[1:-1] if name != "Score"])


def _against_world(params: ReportParams, suite: VideoMetrics, paper_horizons: Mapping[int, int]) -> str:
    header = ["Frames", "Metric", "Paper", "n", "Difference", "95 % interval", "Reads"]
    lines = []
    for horizon in params.horizons:
        for metric in METRICS:
            result = against_world(params, suite, horizon, metric)
            paper = paper_difference(paper_horizons.get(horizon), metric.paper)
            lines.append([str(horizon), metric.label, paper, *difference(result), verdict(result, metric)])
        lines += _distances(suite, horizon, paper_horizons.get(horizon))
    return table(header, lines, right=header[2:-1])


def against_world(params: ReportParams, suite: VideoMetrics, horizon: int, metric: Metric) -> PairedMeans | str:
    """Compare the action world model with the world model on the same clips, or say why that is not possible."""
    first, second = (
        suite.scores(source.name, source.actions, horizon, metric.column) for source in (ACTION_WORLD, WORLD)
    )
    return compare(first, second, params.seed, metric.factor)


def verdict(result: PairedMeans | str, metric: Metric) -> str:
    """Return which way a score differs, and whether that is better."""
    way = direction(result)
    if way in ("", "inconclusive"):
        return way
    return f"{way}: {'better' if (way == 'higher') == metric.higher_is_better else 'worse'}"


def paper_difference(horizon: int | None, column: str) -> str:
    """Return the paper's action world model minus its world model; nothing where it has no such number."""
    if horizon is None or not column:
        return ""
    first, second = (published("table4")[source.paper][horizon][column] for source in (ACTION_WORLD, WORLD))
    return f"{first - second:+.1f}" if column == "fvd" else f"{first - second:+.2f}"


def _distances(suite: VideoMetrics, horizon: int, paper: int | None) -> list[list[str]]:
    """Return the line with both distances of sets side by side: there is no test of their difference."""
    first, second = (suite.distance(source.name, source.actions, horizon) for source in (ACTION_WORLD, WORLD))
    if first is None or second is None:
        return []
    name = first["extractor"]
    intervals = [f"{number(row['distance'])} ({number_interval(row['low'], row['high'])})" for row in (first, second)]
    shown = paper_difference(paper, "fvd") if name == FVD else ""
    return [
        [str(horizon), name, shown, str(first["num_clips"]), " against ".join(intervals), "", "side by side: no test"]
    ]


def _upstream(params: ReportParams, suite: VideoMetrics) -> str:
    """Return the table with the given frame, and the distance of its own name."""
    names = [row["extractor"] for row in suite.sets][:1]
    header = ["Source", "Frames", *[metric.label for metric in METRICS], *[f"{name}, biased" for name in names]]
    lines = []
    for source in sources(params):
        for horizon in params.horizons:
            columns = [suite.scores(source.name, source.actions, horizon, f"{m.column}_with_first") for m in METRICS]
            if not columns[0]:
                continue
            cells = [cell(scores, params.seed, m.factor) for scores, m in zip(columns, METRICS, strict=True)]
            row = suite.distance(source.name, source.actions, horizon)
            biased = [number(row["upstream_distance"]) if row else "" for _ in names]
            lines.append([source.label, str(horizon), *cells, *biased])
    return table(header, lines, right=header[1:])


def _code_accuracy(params: ReportParams, suite: VideoMetrics) -> str:
    header = ["Model", "n", "Right codes, %"]
    lines = []
    for model in _models(params, suite):
        # It is of the longest clip, whatever the horizon.
        scores = suite.scores(model.name, model.actions, max(params.horizons), "code_accuracy")
        known = {clip: value for clip, value in scores.items() if value is not None}
        lines.append([model.label, str(len(known)), cell(known, params.seed, 100) or "not computed"])
    return table(header, lines, right=header[1:])
