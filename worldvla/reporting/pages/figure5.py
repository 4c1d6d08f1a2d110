"""The page of figure 5: validation clips as the world models predict them, below the truth."""

from pathlib import Path
from typing import Any

from worldvla.reporting.inputs.clips import ACTION_WORLD, COPY, WORLD, VideoMetrics
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent
from worldvla.reporting.markdown import page, table
from worldvla.reporting.pictures import animation
from worldvla.reporting.pictures.strips import Block, Strip, draw, evenly
from worldvla.reporting.provenance import link

NUM_COLUMNS, TILE, NUM_COLOURS = 9, 112, 256
SOURCES = {"truth": "truth", WORLD.name: WORLD.label, ACTION_WORLD.name: ACTION_WORLD.label}


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``figure5.md``, and a picture and an animation per suite."""
    text = page(
        f"# Figure 5 at scale `{inputs.params.scale}`: validation clips as the world models predict them",
        f"{inputs.about} The first frame, framed in colour, and all actions are given; every other frame is predicted from the "
        "predictions before it. All rows of a clip show the same frames, evenly spaced. Pictures and animations have few "
        "colours, to stay small; the scores are of the frames themselves ([table 4](table4.md)).",
        "The rule: the first validation clip of every task, then the second of every task, and so on, up to the number that "
        "`video_metrics.num_films` allows. The paper shows three clips and does not say how they were chosen. A model is its "
        "first training.",
        *[block for name, suite in inputs.metrics.items() for block in _suite(folder, inputs, name, suite)],
    )
    (folder / "figure5.md").write_text(text, encoding="utf-8")


def _suite(folder: Path, inputs: Inputs, name: str, suite: VideoMetrics | Absent) -> list[str]:
    """Return the blocks of a suite, and draw its films."""
    heading = f"## {name.capitalize()} suite"
    if isinstance(suite, Absent):
        return [heading, f"No films: {suite}."]
    films = [(film, _strips(suite, film)) for film in sorted(suite.films, key=lambda film: film["number"])]
    films = [(film, strips) for film, strips in films if len(strips) > 1]
    if not films:
        return [heading, "No clip has films of the truth and of a prediction."]
    titles = [f"{place}. “{film['language']}”" for place, (film, _) in enumerate(films, 1)]
    blocks = [Block(title, _spaced(strips)) for title, (_, strips) in zip(titles, films, strict=True)]
    draw(folder / f"figure5-{name}.png", blocks, TILE, NUM_COLOURS)
    animated = animation.write_gif(folder / f"figure5-{name}.gif", [strips for _, strips in films])
    absent = [label for label in SOURCES.values() if not any(strip.label == label for strip in films[0][1])]
    captions = [f"{title}, episode `{film['demo']}`" for title, (film, _) in zip(titles, films, strict=True)]
    return [
        heading,
        "\n".join(captions),
        f"Without films: {', '.join(absent)}." if absent else "",
        f"![frames of the clips: the truth, and each model's prediction below it](figure5-{name}.png)",
        f"### {name.capitalize()}: what these clips score",
        f"Over the {max(inputs.params.horizons)} frames of the longest clips, against the given frame repeated: where a "
        f"prediction scores less than that, it has lost what stood there. Made of {link('these models', f'clips-{name}')}.",
        _scores(inputs, suite, [film for film, _ in films]),
        "The first clip in motion:" if animated == 1 else f"The first {animated} clips in motion:",
        f"![the truth and the predictions side by side](figure5-{name}.gif)",
    ]


def _scores(inputs: Inputs, suite: VideoMetrics, films: list[dict[str, Any]]) -> str:
    """Return the table of the shown clips: each model against copying, by PSNR and by SSIM."""
    lines = []
    for place, film in enumerate(films, 1):
        for source in (WORLD, ACTION_WORLD):
            line, worse = [str(place), source.label], []
            for name, column, factor in (("PSNR", "psnr", 1), ("SSIM", "ssim", 100)):
                ours, copied = (
                    suite.scores(one.name, one.actions, max(inputs.params.horizons), column).get(
                        (film["task"], film["demo"])
                    )
                    for one in (source, COPY)
                )
                if ours is None or copied is None:
                    line.append("")
                    continue
                line.append(f"{factor * ours:.1f} against {factor * copied:.1f}")
                worse += [name] * (ours < copied)
            lines.append([*line, f"worse than copying by {' and '.join(worse)}" if worse else "better than copying"])
    return table(
        ["Clip", "Model", "PSNR, dB, and of copying", "SSIM x100, and of copying", "Which is"], lines, right=["Clip"]
    )


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
    return [
        Strip(
            strip.label,
            [strip.frames[frame] for frame in chosen],
            notes if strip is strips[-1] else (),
            num_given=strip.num_given,
        )
        for strip in strips
    ]
