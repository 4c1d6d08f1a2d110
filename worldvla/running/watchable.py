"""A training as a person sees it while it runs: a file of its curve, a picture of it, and how fast it goes.

Wall clocks are in it: it lies in ``work/`` and never in a result, which has a curve of its own.
"""

import contextlib
import csv
import io
import math
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from worldvla.files import atomic_file, write_text
from worldvla.plotting import plt
from worldvla.running.devices import known_device
from worldvla.running.machine import read_machine

CURVES, BOARDS = Path("work/curves"), Path("work/tensorboard")
ROWS = 1000  # of a file, about: each is the mean of as many steps
REFRESH_S = 30.0  # at most so often
SPEEDS = ("samples/s", "tokens/s", "MFU", "memory GB")  # MFU: of the device's peak in bf16, if that is known
Row = Mapping[str, float | None]


class Curve:
    """The curve of one training so far, one row per stretch of steps: means of what is trained, and how fast.

    Args:
        path: of the CSV file and of the picture beside it, without a suffix; None: nothing is written.
        num_steps: of the whole training.
        rows: of the steps that earlier sittings have done.
        device: that trains.
        processes: that share the training, each with such a device; the others are taken to do as much as this one.
    """

    def __init__(
        self, path: Path | None, num_steps: int, rows: Sequence[Row], device: torch.device, processes: int = 1
    ) -> None:
        self._path, self._device = path, device
        self._length = math.ceil(num_steps / ROWS)
        self._peak, self._processes = _peak(device), processes
        self._lines: list[dict[str, Any]] = []
        self._stretch: list[Row] = []
        self._speeds: dict[str, float | None] = dict.fromkeys(SPEEDS)
        self._board = None if path is None else _board(path.name, len(rows))
        earlier = {} if path is None or not rows else _read(path.with_suffix(".csv"))
        for row in rows:
            self._add(row, lambda line: {name: earlier.get(_key(line), {}).get(name) for name in SPEEDS})
        self._begin()
        self._written = time.monotonic()

    def note(self, row: Row, samples: int, tokens: int, flops: float) -> dict[str, str]:
        """Take note of a step; return what the line of progress says of its speed.

        Args:
            row: of the training's curve; what was not measured is None.
            samples: of the step, of this process.
            tokens: of them, paddings not counted.
            flops: of them by the model's arithmetic, recomputation not counted.
        """
        self._samples, self._tokens, self._flops = self._samples + samples, self._tokens + tokens, self._flops + flops
        if self._add(row, lambda line: self._measured()):
            self._begin()
            self._to_board()
        if self._path is not None and time.monotonic() - self._written >= REFRESH_S:
            self.write()
        rate = self._speeds["tokens/s"]
        return {} if rate is None else {"tokens/s": f"{rate:,.0f}"}

    def write(self) -> None:
        """Write the file and the picture, each whole or not at all; a disk that takes none ends no training."""
        self._written = time.monotonic()
        if self._path is None or not self._lines:
            return
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(self._lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in line.items()} for line in self._lines)
        with contextlib.suppress(OSError):
            write_text(self._path.with_suffix(".csv"), stream.getvalue())
            with atomic_file(self._path.with_suffix(".png")) as scratch:
                _draw(self._lines, self._path.name, scratch)

    def close(self) -> None:
        """Write what is left."""
        self.write()
        if self._board is not None:
            self._board.close()

    def _add(self, row: Row, speeds: Any) -> bool:
        """Add a step to its stretch; return whether the stretch is complete, and a line of its own."""
        self._stretch.append(row)
        if len(self._stretch) < self._length:
            return False
        line: dict[str, Any] = {"step": self._stretch[-1]["step"]}
        for name in row:
            if name != "step":
                values = [value for one in self._stretch if (value := one[name]) is not None]
                line[name] = sum(values) / len(values) if values else None
        self._lines.append(line | speeds(line))
        self._stretch = []
        return True

    def _begin(self) -> None:
        self._samples = self._tokens = 0
        self._flops, self._began = 0.0, time.monotonic()

    def _measured(self) -> dict[str, float | None]:
        seconds = max(1e-9, time.monotonic() - self._began)
        self._speeds = {
            "samples/s": self._processes * self._samples / seconds,
            "tokens/s": self._processes * self._tokens / seconds,
            "MFU": self._flops / seconds / self._peak if self._peak else None,
            "memory GB": _memory(self._device) / 1e9,
        }
        return self._speeds

    def _to_board(self) -> None:
        if self._board is not None:
            line = self._lines[-1]
            for name, value in line.items():
                if name != "step" and value is not None:
                    self._board.add_scalar(name, value, line["step"])


def _peak(device: torch.device) -> float | None:
    known = known_device(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return known.flops if known else None


def _memory(device: torch.device) -> int:
    """Return the bytes that were in use at most: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _board(name: str, num_done: int) -> Any:
    """Return a writer for TensorBoard if machine.yaml asks for one; what it has of later steps is dropped.

    Raises:
        ValueError: its package is not installed.
    """
    if not read_machine().tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter  # its package is not among those that are always there
    except ImportError:
        raise ValueError(
            "machine.yaml: tensorboard is true, and its package is not installed; expected it in the environment; make it false, or "
            "run: .venv/bin/python -m pip install --constraint constraints.txt tensorboard"
        ) from None
    return SummaryWriter(str(BOARDS / name), purge_step=num_done)


def _read(path: Path) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return the speeds of the lines of an earlier sitting; none if there is no such file, or another one."""
    with contextlib.suppress(OSError, ValueError, KeyError), path.open(encoding="utf-8", newline="") as stream:
        return {
            (line["step"], line["loss"]): {name: float(line[name]) if line[name] else None for name in SPEEDS}
            for line in csv.DictReader(stream)
        }
    return {}


def _key(line: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells a line from that of another training of the same name."""
    return _cell(line["step"]), _cell(line.get("loss"))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _draw(lines: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw the losses above and the speed below."""
    figure, (losses, speed) = plt.subplots(
        2, 1, sharex=True, figsize=(7, 5), height_ratios=[3, 1], layout="constrained"
    )
    for name, style in (("loss", "-"), ("validation_loss", "o")):
        points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
        if points:
            losses.plot(*zip(*points, strict=True), style, label=name.replace("_", " "), linewidth=1, markersize=3)
    points = [(line["step"], line["tokens/s"]) for line in lines if line["tokens/s"] is not None]
    if points:
        speed.plot(*zip(*points, strict=True), linewidth=1, color="tab:gray")
    losses.set(title=title, ylabel="loss")
    losses.set_yscale("log")
    speed.set(xlabel="step", ylabel="tokens/s")
    for axes in (losses, speed):
        axes.grid(alpha=0.3)
    if losses.get_legend_handles_labels()[0]:
        losses.legend()
    figure.savefig(path, dpi=90)
    plt.close(figure)
