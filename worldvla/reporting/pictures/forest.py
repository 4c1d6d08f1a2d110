"""Numbers with two intervals, each on a line of its own: effects around zero, or success rates. Same numbers, same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldvla.plotting import plt
from worldvla.reporting.inference.effects import Effect
from worldvla.reporting.inference.measured import Measured

# Every colour is at least 4.5 to 1 on white, and none says what a shape does not.
OURS, THIN, PAPER, INK = "#1f5f78", "#4a5560", "#b3412e", "#1f2933"
MARKS = ("v", "^")  # of the paper's numbers, in order
DPI = 110


@dataclass(frozen=True)
class Line:
    """A number of ours with its intervals, and what stands beside it."""

    label: str
    found: Measured | Effect
    paper: Mapping[str, float]  # the paper's numbers by what they are


def draw(
    path: Path,
    lines: Sequence[Line],
    title: str,
    unit: str,
    limits: tuple[float, float] | None = None,
    units: str = "initial states",
) -> bool:
    """Draw lines below each other.

    Args:
        path: the PNG to write.
        lines: from top to bottom.
        title: what is shown.
        unit: what the axis counts.
        limits: of the axis; without them as wide as the numbers, with a line at zero.
        units: what the thick interval is over.

    Returns:
        Whether there was anything to draw.
    """
    if not lines:
        return False
    figure, axes = plt.subplots(figsize=(9, 1.3 + 0.36 * len(lines)), layout="constrained")
    axes.use_sticky_edges = False
    kinds = list(dict.fromkeys(kind for line in lines for kind in line.paper))
    for place, line in enumerate(lines):
        y = -place
        found = line.found
        if found.beside:
            low, high = found.beside
            box = {"height": 0.4, "facecolor": "white", "edgecolor": OURS, "linewidth": 1.8}
            axes.barh(y, high - low, left=low, label=f"95 % over {units}", zorder=2, **box)
        if found.over:
            thin = {"color": THIN, "linewidth": 1.6, "marker": "|", "markersize": 12}
            axes.plot(found.over, [y, y], label="95 % over trainings", zorder=3, **thin)
        if isinstance(found, Measured) and found.lone:
            own = [y] * len(found.lone)
            axes.plot(found.lone, own, "x", color=OURS, markersize=5, label="each training", zorder=4)
        axes.plot([found.value], [y], "o", color=INK, markersize=6, label="ours", zorder=5)
        for kind, value in line.paper.items():
            mark = MARKS[kinds.index(kind) % len(MARKS)]
            shift = 0.34 if mark == "v" else -0.34
            axes.plot([value], [y + shift], mark, color=PAPER, markersize=7, label=kind, zorder=4)
    axes.set_yticks([-place for place in range(len(lines))], [line.label for line in lines])
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    if limits is None:
        axes.axvline(0, color=INK, linewidth=1)
    else:
        axes.set_xlim(*limits)
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10)
    by_label = {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(by_label.values(), by_label, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return True
