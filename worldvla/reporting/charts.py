"""Charts of the reports: groups of bars with intervals, from zero. The same numbers give the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.plotting import Axes, plt
from worldvla.reporting.runs import Absent, Episodes
from worldvla.reporting.successes import AVERAGE, Group, Row, paper_rate

# A world model is darker than the same model without it.
COLOURS = {
    "action": "#aeb8c2",
    "action_world": "#66727f",
    "action_from_world": "#7b5ea7",
    "action_chunk": "#e0a458",
    "action_chunk_mask": "#7fbdd1",
    "action_world_chunk_mask": "#2a7f9e",
    "action_video_chunk_mask": "#c77d9b",
    "world": "#e0a458",
    "copy": "#aeb8c2",
    "reconstruction": "#3f8f5b",
}
OTHER = "#8c6d46"
PAPER = {"color": "#b3412e", "marker": "D", "markersize": 6, "markeredgecolor": "white", "linestyle": "none"}
TEXT = 0.1  # of the axis: room for the numbers above a bar
DPI = 110


@dataclass(frozen=True)
class Bar:
    """A number with its interval, as far as there is one."""

    value: float
    text: str
    interval: tuple[float, float] | None = None
    paper: float | None = None  # the paper's number, a mark


@dataclass(frozen=True)
class Series:
    """Bars of one colour: one per group; None leaves its place empty."""

    label: str
    variant: str
    bars: Sequence[Bar | None]


def success_bars(
    path: Path, params: ReportParams, rows: Sequence[Row], groups: Mapping[str, Group], title: str
) -> None:
    """Draw success rates with their 95 % intervals, and the paper's as marks: a group of bars per suite.

    Args:
        path: the PNG to write.
        params: what the reports are about.
        rows: the bars of a group; one without data anywhere has no place.
        groups: by suite, the runs of each row; the place of an absent run stays empty.
        title: what is shown, and at which scale; the intervals are explained after it.
    """
    series = []
    for row in rows:
        bars = [_success(group[row.key], paper_rate(params, row, name)) for name, group in groups.items()]
        if any(bars):
            label = f"{row.key}: {row.label}" if row.key.isdigit() else row.label
            series.append(Series(label, row.variant, bars))
    names = [group if group == AVERAGE else f"{group} suite" for group in groups]
    draw(path, names, series, title, "success rate, %", range(0, 101, 20))


def _success(run: Episodes | Absent, paper: float | None) -> Bar | None:
    if isinstance(run, Absent):
        return None
    return Bar(run.rate.percent, str(run.rate), run.rate.interval, paper)


def draw(
    path: Path,
    groups: Sequence[str],
    series: Sequence[Series],
    title: str,
    unit: str,
    ticks: Sequence[int],
    per_line: int = 3,
) -> None:
    """Draw groups of bars.

    Args:
        path: the PNG to write.
        groups: the name of each group.
        series: the bars of each colour.
        title: what is shown, and at which scale.
        unit: what a bar is.
        ticks: of the axis, from zero to its top.
        per_line: groups side by side; further ones stand below.
    """
    lines = [range(start, min(start + per_line, len(groups))) for start in range(0, len(groups), per_line)]
    columns = min(per_line, len(groups))
    width = max(7.0, columns * (0.56 * len(series) + 0.5) + 1.0)
    figure, grid = plt.subplots(
        len(lines), squeeze=False, figsize=(width, 3.4 * len(lines) + 0.9), layout="constrained"
    )
    for axes, places in zip(grid[:, 0], lines, strict=True):
        _bars(axes, places, series, TEXT * ticks[-1])
        axes.set_xticks(places, [groups[place] for place in places])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(places.start - 0.55, places.start + columns - 0.45)
        axes.set_ylim(0, 1.1 * ticks[-1])
        axes.set_yticks(ticks)
        axes.set_ylabel(unit)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title}; with 95 % intervals", fontsize=10)
    if any(bar and bar.paper is not None for one in series for bar in one.bars):
        grid[0, 0].plot([], [], label="the paper's, on LIBERO with 7 B", **PAPER)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    letters = max((len(label) for label in labels), default=0)
    fitting = max(1, int(width / (0.066 * letters + 0.5)))
    figure.legend(handles, labels, loc="outside lower center", ncols=fitting, frameon=False, fontsize=9)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def _bars(axes: Axes, places: Sequence[int], series: Sequence[Series], text: float) -> None:
    """Draw the bars of some groups, each group around its own number, with room for ``text`` above each."""
    width = 0.84 / max(1, len(series))
    for number, one in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * width
        shown = [(place + offset, bar) for place in places if (bar := one.bars[place])]
        colour = COLOURS.get(one.variant, OTHER)
        axes.bar([x for x, _ in shown], [bar.value for _, bar in shown], 0.92 * width, color=colour, label=one.label)
        for x, bar in shown:
            top = bar.value
            if bar.interval:
                low, top = bar.interval
                spread = [[bar.value - low], [top - bar.value]]
                axes.errorbar(x, bar.value, spread, fmt="none", color="#222222", capsize=4, linewidth=1.2)
            if bar.paper is not None:
                axes.plot([x + width / 4], [bar.paper], zorder=3, **PAPER)  # beside the interval
                if top - text / 4 < bar.paper < top + text:  # the numbers stand above the mark
                    top = max(top, bar.paper + text / 4)
            axes.annotate(bar.text, (x, top), (0, 4), textcoords="offset points", ha="center", fontsize=9)
