"""Pictures of the reports; the same numbers give the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from worldvla.reporting.runs import Absent, Run
from worldvla.simulation.videos import choose, read_video, video_name

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

COLOURS = ("#9aa5b1", "#e0a458", "#2a7f9e", "#7b5ea7", "#3f8f5b")
STRIP_FRAMES = 7


def success_bars(path: Path, suites: Sequence[str], bars: Mapping[str, Sequence[Run | Absent]], title: str) -> None:
    """Draw success rates with their 95 % intervals: a group of bars per suite.

    Args:
        path: the PNG to write.
        suites: the groups.
        bars: label of a bar -> its run in each suite; the place of an absent run stays empty.
        title: what is shown, and at which scale; the intervals are explained after it.
    """
    figure, axes = plt.subplots(figsize=(max(6.4, 2.2 * len(suites) + 2.5), 4.0), layout="constrained")
    width = 0.8 / len(bars)
    for place, ((label, runs), colour) in enumerate(zip(bars.items(), COLOURS, strict=False)):
        offsets = np.arange(len(suites)) + (place - (len(bars) - 1) / 2) * width
        shown = [(x, run.rate) for x, run in zip(offsets, runs, strict=True) if isinstance(run, Run)]
        if not shown:
            continue
        x = [x for x, _ in shown]
        percent = np.array([100 * rate.fraction for _, rate in shown])
        low, high = 100 * np.array([rate.interval for _, rate in shown]).T
        axes.bar(x, percent, 0.9 * width, color=colour, label=label)
        axes.errorbar(
            x, percent, [percent - low, high - percent], fmt="none", color="#222222", capsize=4, linewidth=1.2
        )
        for (x_one, rate), top in zip(shown, high, strict=True):
            axes.annotate(str(rate), (x_one, top), (0, 4), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(range(len(suites)), [f"{suite} suite" for suite in suites])
    axes.set_xlim(-0.6, len(suites) - 0.4)
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("success rate, %")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{title}; with 95 % intervals", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=len(bars), frameon=False, fontsize=9)
    _save(figure, path)


def strips(path: Path, run: Run) -> bool:
    """Draw the first filmed success and the first filmed failure of a run, as rows of frames over time.

    Returns:
        Whether there was a video to draw; without one no file is written.
    """
    chosen = choose([_Episode(row) for row in run.episodes], 1)
    films = [
        (episode, run.folder / video_name(episode.task_index, episode.init_state, episode.success))
        for episode in chosen
    ]
    films = [(episode, read_video(film)) for episode, film in films if film.exists()]
    if not films:
        return False
    figure = plt.figure(figsize=(1.55 * STRIP_FRAMES, 1.98 * len(films)), layout="constrained")
    for part, (episode, frames) in zip(figure.subfigures(len(films), squeeze=False).flat, films, strict=True):
        verdict = "success" if episode.success else "failure"
        part.suptitle(
            f"{verdict}: “{episode.language}”, initial state {episode.init_state}", fontsize=10, x=0.01, ha="left"
        )
        steps = np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int)
        for axes, step in zip(part.subplots(1, STRIP_FRAMES), steps, strict=True):
            axes.imshow(frames[step])
            axes.set_xlabel(f"step {step}", fontsize=8)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    _save(figure, path)
    return True


class _Episode:
    """A row of episodes.parquet with names."""

    def __init__(self, row: dict) -> None:
        self.task_index, self.init_state, self.success = row["task_index"], row["init_state"], row["success"]
        self.language = row["task"].replace("_", " ")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
