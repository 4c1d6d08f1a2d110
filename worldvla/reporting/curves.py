"""Charts of success rates over a number: lines with intervals, from 0 to 100 %. The same numbers give the same bytes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldvla.plotting import Axes, plt
from worldvla.reporting.runs import Absent, Episodes, Rate

# Of the first curve and of the second: told apart without colour too.
STYLES = (
    {"color": "#c98a2e", "linestyle": "--", "marker": "s", "markersize": 8, "markerfacecolor": "white"},
    {"color": "#1f5f78", "linestyle": "-", "marker": "o", "markersize": 5},
)
DODGE = 0.008  # of the axis, to either side, where both curves have a point
LABEL_PERCENT = 7.0  # two curves that end closer together have their labels
LABEL_POINTS = 11.0  # apart
DPI = 110


@dataclass(frozen=True)
class Point:
    """A success rate at its number."""

    x: int
    rate: Rate
    run: str  # two curves with a point of the same run meet there


@dataclass(frozen=True)
class Curve:
    """Points of one line, by their numbers."""

    label: str
    points: Sequence[Point]


def points(runs: Sequence[tuple[int, str, Episodes | Absent]]) -> list[Point]:
    """Return the points of the runs that have data, each given with its number and its name."""
    return [Point(x, run.rate, name) for x, name, run in runs if isinstance(run, Episodes)]


def success_curves(path: Path, panels: Mapping[str, Sequence[Curve]], title: str, unit: str) -> bool:
    """Draw two curves per panel, each with its name at its end.

    Args:
        path: the PNG to write.
        panels: the two curves by the title of their panel; a curve or a panel without points is left out.
        title: what is shown, and at which scale; the intervals are explained after it.
        unit: what the numbers below count.

    Returns:
        Whether there was anything to draw.
    """
    shown = {name: curves for name, curves in panels.items() if any(curve.points for curve in curves)}
    if not shown:
        return False
    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)
    figure, grid = plt.subplots(
        lines, columns, squeeze=False, figsize=(7.0 if columns == 1 else 11.0, 3.6 * lines + 0.4), layout="constrained"
    )
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(grid.flat, shown.items(), strict=False):
        _panel(axes, curves)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(unit)
        axes.set_ylabel("success rate, %")
    figure.suptitle(f"{title}; with 95 % intervals", fontsize=10)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return True


def _panel(axes: Axes, curves: Sequence[Curve]) -> None:
    numbers = sorted({point.x for curve in curves for point in curve.points})
    span = max(1, numbers[-1] - numbers[0])
    ends = []
    for curve, other, style, side in zip(curves, reversed(curves), STYLES, (-1, 1), strict=True):
        if not curve.points:
            continue
        places = _places(curve, other, side * DODGE * span, 0.03 * span)
        rates = [point.rate.percent for point in curve.points]
        spread = [
            [rate - point.rate.interval[0] for rate, point in zip(rates, curve.points, strict=True)],
            [point.rate.interval[1] - rate for rate, point in zip(rates, curve.points, strict=True)],
        ]
        axes.errorbar(places, rates, spread, capsize=4, elinewidth=1.2, clip_on=False, **style)
        ends.append((rates[-1], places[-1], curve.label, style["color"]))
    for (rate, place, label, colour), shift in zip(sorted(ends), _shifts(ends), strict=True):
        axes.annotate(
            label, (place, rate), (15, shift), textcoords="offset points", va="center", color=colour, fontsize=9
        )
    axes.set_xticks(numbers)
    axes.set_xlim(numbers[0] - 0.06 * span, numbers[-1] + 0.06 * span)
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _places(curve: Curve, other: Curve, dodge: float, step: float) -> list[float]:
    """Return where the points stand: beside each other, where there are several at one number."""
    before: Counter[int] = Counter()
    places = []
    for point in curve.points:
        beside = [one for one in other.points if one.x == point.x]
        meets = not beside or any(one.run == point.run for one in beside)
        places.append(point.x + (0.0 if meets else dodge) + step * before[point.x])
        before[point.x] += 1
    return places


def _shifts(ends: Sequence[tuple[float, float, str, str]]) -> list[float]:
    """Return by how many points the labels move up, from the lowest end to the highest, so that they do not overlap."""
    rates = sorted(end[0] for end in ends)
    overlap = len(rates) > 1 and rates[-1] - rates[0] < LABEL_PERCENT
    return [-LABEL_POINTS / 2, LABEL_POINTS / 2] if overlap else [0.0] * len(ends)
