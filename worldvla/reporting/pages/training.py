"""The page of the trainings: loss curves of every model, their ends, and what the image tokenizers keep."""

import csv
import itertools
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from worldvla.params.trainings import run_name
from worldvla.plotting import plt
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, in_order
from worldvla.reporting.pages.template import write
from worldvla.reporting.provenance import duration, timing_of

NUM_POINTS = 40  # of a curve: each is the mean of as many steps
COLUMNS, DPI = 4, 80

Points = Sequence[tuple[int, float]]  # step and loss


@dataclass(frozen=True)
class Training:
    """The curve of one training: the mean loss of equal stretches of steps, by their last steps; validations by theirs."""

    suite: str
    variant: str
    number: int
    gap: Absent | None
    losses: Points = ()
    validations: Points = ()

    @property
    def run(self) -> str:
        """The name of its run."""
        return run_name(self.variant, self.suite, self.number)


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``training.md``, its pictures, and what `dvc plots` draws: ``training_loss.csv``, ``validation_loss.csv``."""
    suites = {suite: _of_suite(inputs, suite) for suite in in_order(inputs.params.suites)}
    write(
        folder / "training.md",
        inputs,
        num_points=NUM_POINTS,
        suites=suites,
        drawn={suite: _draw(folder / f"training-{suite}.png", found) for suite, found in suites.items()},
        took=lambda run: duration(timing_of(inputs.timing, run, "train", "finetune")),
        tokenizers=_tokenizers(folder, inputs),
    )
    for name, curve in (("training_loss", "losses"), ("validation_loss", "validations")):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("model", "training", "step", "loss"))
            for one in itertools.chain(*suites.values()):
                points = getattr(one, curve)
                writer.writerows(
                    (f"{one.variant}-{one.suite}", one.number, step, f"{loss:.4f}") for step, loss in points
                )


def _of_suite(inputs: Inputs, suite: str) -> list[Training]:
    """Return every training of a suite; one that has left nothing has a gap."""
    found = []
    for name, variant in inputs.params.variants.items():
        for number in variant.trainings:
            run = run_name(name, suite, number)
            if not (path := inputs.models / run / "curve.parquet").exists():
                gap = Absent(f"{variant.stage('train')}@{run}", planned=True)
                found.append(Training(suite, name, number, gap))
                continue
            columns = pq.read_table(path, columns=["cross_entropy", "validation_loss"]).to_pydict()
            losses, scored = columns["cross_entropy"], columns["validation_loss"]
            length = math.ceil(len(losses) / NUM_POINTS)
            stretches = [losses[start : start + length] for start in range(0, len(losses), length)]
            ends = itertools.accumulate(map(len, stretches))
            means = [(end, sum(stretch) / len(stretch)) for end, stretch in zip(ends, stretches, strict=True)]
            validations = [(step, loss) for step, loss in enumerate(scored, start=1) if loss is not None]
            found.append(Training(suite, name, number, None, means, validations))
    return found


def _draw(path: Path, trainings: Sequence[Training]) -> bool:
    """Draw one panel per model, a line for each of its trainings; return whether there is any."""
    drawn: dict[str, list[Training]] = {}
    for one in [one for one in trainings if one.losses]:
        drawn.setdefault(one.variant, []).append(one)
    if not drawn:
        return False
    lines = math.ceil(len(drawn) / COLUMNS)
    figure, grid = plt.subplots(lines, COLUMNS, squeeze=False, figsize=(12, 1.9 * lines + 0.6), layout="constrained")
    for axes in grid.flat[len(drawn) :]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(grid.flat, drawn.items(), strict=False):
        for one in curves:
            axes.plot(*zip(*one.losses, strict=True), color="#8a5a00", linewidth=1.2, label="training")
            points = {"color": "#1f5f78", "markersize": 3, "label": "held-out episodes"}
            axes.plot([step for step, _ in one.validations], [loss for _, loss in one.validations], "o", **points)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7, which="both")
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("cross-entropy", fontsize=9)
    by_label = {text: handle for handle, text in zip(*grid[0, 0].get_legend_handles_labels(), strict=True)}
    figure.legend(by_label.values(), by_label, loc="outside lower right", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return True


def _tokenizers(folder: Path, inputs: Inputs) -> list[dict[str, Any]]:
    """Return what each image tokenizer says of itself; its picture is copied to the reports."""
    sizes, found = {variant.images: variant.pixels for variant in inputs.params.variants.values()}, []
    for suite, (images, pixels) in itertools.product(in_order(inputs.params.suites), sizes.items()):
        source, picture = inputs.tokenizers / f"{suite}-{images}", f"tokenizer-{suite}-{pixels}px.png"
        one = {"suite": suite, "pixels": pixels, "picture": picture, "gap": None}
        if (source / "summary.json").exists():
            one |= json.loads((source / "summary.json").read_text(encoding="utf-8"))
            shutil.copyfile(source / "reconstructions.png", folder / picture)
        else:
            one["gap"] = Absent(f"tokenizer@{suite}-{images}", planned=True)
        found.append(one)
    return found
