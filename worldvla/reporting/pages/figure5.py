"""The page of figure 5: validation clips as the world models predict them, below the truth."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from worldvla.params.trainings import model_name
from worldvla.reporting.inputs.clips import ACTION_WORLD, COPY, WORLD, Source, VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent
from worldvla.reporting.pages.template import write
from worldvla.reporting.pictures import animation
from worldvla.reporting.pictures.strips import Block, Strip, draw, evenly

NUM_COLUMNS, TILE, NUM_COLOURS = 9, 112, 256
SOURCES = {"truth": "truth", WORLD.name: WORLD.label, ACTION_WORLD.name: ACTION_WORLD.label}


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``figure5.md``, and a picture and an animation per suite."""
    suites = {name: _suite(folder, inputs, name, suite) for name, suite in inputs.metrics.items()}
    write(folder / "figure5.md", inputs, suites=suites)


def _suite(folder: Path, inputs: Inputs, name: str, suite: VideoMetrics | Absent) -> dict[str, Any]:
    """Return what the page says of a suite, and draw its films."""
    if isinstance(suite, Absent):
        return {"gap": f"No films: {suite}"}
    films = [(film, _strips(suite, film)) for film in sorted(suite.films, key=lambda film: film["number"])]
    films = [(film, strips) for film, strips in films if len(strips) > 1]
    if not films:
        return {"gap": "No clip has films of the truth and of a prediction"}
    titles = [f"{place}. “{film['language']}”" for place, (film, _) in enumerate(films, 1)]
    blocks = [Block(title, _spaced(strips)) for title, (_, strips) in zip(titles, films, strict=True)]
    draw(folder / f"figure5-{name}.png", blocks, TILE, NUM_COLOURS)
    return {
        "gap": "",
        "films": [film for film, _ in films],
        "absent": [label for label in SOURCES.values() if not any(strip.label == label for strip in films[0][1])],
        "scores": partial(_scores, suite, max(inputs.params.horizons)),
        "verdict": _verdict,
        "animated": animation.write_gif(folder / f"figure5-{name}.gif", [strips for _, strips in films]),
    }


def _scores(suite: VideoMetrics, horizon: int, film: dict[str, Any]) -> dict[str, dict[str, list[float | None]]]:
    """Return, by model and score, what a clip of its first training has and what copying has of it."""
    clip = film["task"], film["demo"]

    def of(source: Source, column: str, factor: float) -> float | None:
        trainings = suite.trainings(source.name)
        name = model_name(source.name, trainings[0]) if trainings else source.name
        found = suite.scores(name, source.actions, horizon, column).get(clip)
        return None if found is None else factor * found

    columns = {"PSNR": ("psnr", 1.0), "SSIM": ("ssim", 100.0)}
    return {
        source.label: {name: [of(one, *column) for one in (source, COPY)] for name, column in columns.items()}
        for source in (WORLD, ACTION_WORLD)
        if source.name in suite.models
    }


def _verdict(scores: dict[str, list[float | None]]) -> str:
    """Return by which scores copying is better, if by any; nothing where one is not known."""
    worse = []
    for name, (ours, copied) in scores.items():
        if ours is None or copied is None:
            return ""
        worse += [name] * (ours < copied)
    return f"worse than copying by {' and '.join(worse)}" if worse else "better than copying"


def _strips(suite: VideoMetrics, film: dict[str, Any]) -> list[Strip]:
    """Return all frames of a film by every source that has them; nothing without the truth."""
    found = {label: suite.frames(film, source) for source, label in SOURCES.items()}
    if found[SOURCES["truth"]] is None:
        return []
    return [Strip(label, list(frames), num_given=1) for label, frames in found.items() if frames is not None]


def _spaced(strips: list[Strip]) -> list[Strip]:
    """Return some frames of each strip, with their numbers below the last."""
    chosen = evenly(len(strips[0].frames), NUM_COLUMNS)
    notes = [f"{frame}: given" if frame == 0 else f"frame {frame}" for frame in chosen]
    last = strips[-1]
    return [
        replace(strip, frames=[strip.frames[one] for one in chosen], notes=notes if strip is last else ())
        for strip in strips
    ]
