"""Export a suite's filtered episodes as a LeRobot dataset v3.0, as the public LIBERO sets look; docs/lerobot.md.

    ./run export lerobot SUITE                 # images as PNG inside parquet, exactly
    ./run export lerobot SUITE --video         # one video of many episodes, lossy and smaller

It is written to ``exports/lerobot/<suite's folder>``, e.g. ``libero_goal``, or to ``--out``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldvla.data.episodes import FRAMES, REMEDY, read_episodes_table
from worldvla.data.file_names import task_file
from worldvla.data.hdf5 import open_hdf5, read_array, subgroup
from worldvla.data.lerobot.catalogue import read_catalogue
from worldvla.data.lerobot.info import is_dataset, read_info
from worldvla.data.lerobot.reading import read_frames
from worldvla.data.lerobot.writing import DatasetWriter
from worldvla.data.raw import demo_number
from worldvla.files import FULL_DISK, atomic_folder
from worldvla.params import strict
from worldvla.params.benchmarks import suite_folder
from worldvla.params.filter import FilterParams
from worldvla.running.console import Progress

EXPORTS = Path("exports/lerobot")
# The controller's rate of each benchmark. The public LIBERO sets say 10, half of theirs.
FPS = {"mini": 10, "libero": 20}


def main(arguments: Sequence[str] | None = None) -> None:
    """Export a suite."""
    parser = argparse.ArgumentParser(prog="./run export", description="Export a suite's filtered episodes.")
    parser.add_argument("format", choices=["lerobot"], help="LeRobot dataset v3.0")
    parser.add_argument("suite", help="a suite of params.yaml: goal")
    parser.add_argument("--out", type=Path, help=f"folder to write (default: {EXPORTS}/<suite's folder>)")
    parser.add_argument("--video", action="store_true", help="frames as video, lossy, instead of PNG inside parquet")
    given = parser.parse_args(arguments)
    try:
        export(given.suite, given.out, video=given.video)
    except ValueError as error:
        sys.exit(f"export: {error}")
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        sys.exit("export: the disk is full; nothing is half-written; free some space and run the same command")
    except KeyboardInterrupt:
        print("export: interrupted; nothing is half-written; run the same command again", file=sys.stderr)
        sys.exit(130)


def export(suite: str, out: Path | None = None, *, video: bool = False, data: Path = Path("data")) -> None:
    """Write a suite's kept episodes as a dataset, which appears whole or not at all.

    Raises:
        ValueError: one sentence: the suite is not filtered, or ``out`` holds something else.
    """
    filtered, resolved = data / "filtered" / f"{suite}-main", data / "resolved" / f"{suite}-main.yaml"
    if not (filtered / "episodes.parquet").is_file():
        done = ", ".join(
            sorted(path.parent.name.removesuffix("-main") for path in data.glob("filtered/*-main/*.parquet"))
        )
        raise ValueError(
            f"{filtered}: no filtered episodes of the suite '{suite}'; filtered are: {done or 'none'}; run: ./run reproduce "
            "filter"
        )
    settings = strict.read(FilterParams, resolved)
    out = out or EXPORTS / suite_folder(settings.benchmark, settings.suite)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())) and not _is_ours(out):
        raise ValueError(f"{out}: is there, and no export of ours; expected an empty or no folder; name another: --out")
    rows = [row for row in read_episodes_table(filtered) if row["kept"]]
    rows.sort(key=lambda row: (row["task_index"], demo_number(row["demo"])))
    pairs = [(row["task"], row["demo"]) for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out) as folder:
        quality = _write(folder, filtered, pairs, settings, video)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    steps = sum(row["num_steps"] for row in rows)
    print(f"{out}: {len(rows)} episodes, {steps} frames of {settings.pixels} px, {size / 1e6:,.1f} MB{quality}")
    print("Next: demonstrations: lerobot and demonstrations_folder in params.yaml train on it; docs/lerobot.md")


def _is_ours(folder: Path) -> bool:
    """Return whether a folder holds an export, which may be replaced: only ours note the scenes' looks."""
    try:
        return is_dataset(folder) and read_info(folder).looks is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class _Stored:
    """A kept episode as the filter wrote it."""

    language: str
    frames: np.ndarray  # uint8 [T, px, px, 3]
    actions: np.ndarray  # [T, 7]
    state: np.ndarray | None  # [T, 8], of an imported one perhaps not


def _write(folder: Path, filtered: Path, pairs: list[tuple[str, str]], settings: FilterParams, video: bool) -> str:
    """Write the dataset; return what its frames are worth, in words."""
    # All episodes come from one place, and are alike.
    has_state = next(_read(filtered, pairs[:1])).state is not None
    writer = DatasetWriter(
        folder,
        form="video" if video else "image",
        fps=FPS[settings.benchmark],
        pixels=settings.pixels,
        has_state=has_state,
        looks=settings.looks,
    )
    for one in Progress(_read(filtered, pairs), total=len(pairs), desc="export", unit="episode"):
        writer.write(one.language, one.frames, one.actions, one.state)
    writer.close()
    if not video:
        return ", every pixel as it is"
    scores = list(_psnr(folder, filtered, pairs))
    return f", PSNR {np.mean(scores):.1f} dB (worst frame {np.min(scores):.1f})"


def _read(filtered: Path, pairs: list[tuple[str, str]]) -> Iterator[_Stored]:
    """Yield kept episodes by (task, demo)."""
    for task, demo in pairs:
        with open_hdf5(task_file(filtered, task), REMEDY) as file:
            try:
                data = subgroup(file, "data")
                group = subgroup(data, demo)
                frames, actions = read_array(group, FRAMES), read_array(group, "actions")
            except KeyError:
                raise ValueError(f"{file.filename}: no whole episode '{demo}'; {REMEDY}") from None
            parts = [f"obs/{name}" for name in ("ee_states", "gripper_states")]
            state = np.concatenate([read_array(group, part) for part in parts], axis=1) if parts[0] in group else None
            yield _Stored(str(data.attrs["language"]), frames, actions, state)


def _psnr(folder: Path, filtered: Path, pairs: list[tuple[str, str]]) -> Iterator[float]:
    """Yield the PSNR of every frame of a dataset's videos, in dB: what was written is read once, too."""
    info = read_info(folder)
    entries = read_catalogue(info)
    originals = Progress(_read(filtered, pairs), total=len(pairs), desc="compare", unit="episode")
    for entry, original in zip(entries, originals, strict=True):
        difference = read_frames(info, entry).astype(np.float64) - original.frames
        yield from (10 * np.log10(255**2 / np.maximum((difference**2).mean((1, 2, 3)), 1e-10))).tolist()


if __name__ == "__main__":
    main()
