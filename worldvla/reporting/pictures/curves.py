"""Charts of success rates over a number: lines with intervals, from 0 to 100 %. The same numbers give the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldvla.plotting import Axes, plt
from worldvla.reporting.inference.measured import Measured

# Of the first curve and of the second: told apart without colour too, and each at least 4.5 to 1 on white.
STYLES = (
    {"color": "#8a5a00", "linestyle": "--", "marker": "s", "markersize": 7, "markerfacecolor": "white"},
    {"color": "#1f5f78", "linestyle": "-", "marker": "o", "markersize": 5},
)
DODGE = 0.008  # of the axis: apart, so that both intervals are seen
DPI = 110


@dataclass(frozen=True)
class Point:
    """A success rate at its number."""

    x: int
    found: Measured
    run: str  # two curves with a point of the same run meet there


@dataclass(frozen=True)
class Curve:
    """Points of one line, by their numbers."""

    label: str
    points: Sequence[Point]


def success_curves(path: Path, panels: Mapping[str, Sequence[Curve]], title: str, unit: str) -> bool:
    """Draw two curves per panel.

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
    size = (7.0 if columns == 1 else 11.0, 3.6 * lines + 0.7)
    figure, grid = plt.subplots(lines, columns, squeeze=False, figsize=size, layout="constrained")
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(grid.flat, shown.items(), strict=False):
        _panel(axes, curves)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(unit)
        axes.set_ylabel("success rate, %")
    figure.suptitle(f"{title}; 95 % over initial states, dots: each training", fontsize=9)
    handles = {text: handle for handle, text in zip(*grid[0, 0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return True


def _panel(axes: Axes, curves: Sequence[Curve]) -> None:
    numbers = sorted({point.x for curve in curves for point in curve.points})
    reach = max(1, numbers[-1] - numbers[0])
    for curve, other, style, side in zip(curves, reversed(curves), STYLES, (-1, 1), strict=True):
        places = [
            point.x + (0 if point.run in {one.run for one in other.points} else side * DODGE * reach)
            for point in curve.points
        ]
        rates = [point.found.value for point in curve.points]
        ends = [point.found.beside or (rate, rate) for point, rate in zip(curve.points, rates, strict=True)]
        away = [(max(0.0, rate - low), max(0.0, high - rate)) for rate, (low, high) in zip(rates, ends, strict=True)]
        if curve.points:
            both = list(zip(*away, strict=True))
            axes.errorbar(places, rates, both, capsize=4, elinewidth=1.2, clip_on=False, label=curve.label, **style)
        for place, point in zip(places, curve.points, strict=True):
            own = point.found.lone
            axes.plot([place] * len(own), own, ".", color=style["color"], markersize=4, clip_on=False)
    axes.set_xticks(numbers)
    axes.set_xlim(numbers[0] - 0.06 * reach, numbers[-1] + 0.06 * reach)
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
