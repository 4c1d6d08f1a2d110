"""The page of the trainings: loss curves of every model, their ends, and what the image tokenizers keep."""

import csv
import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from worldvla.params.report import ReportParams
from worldvla.params.trainings import run_name
from worldvla.plotting import plt
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, in_order
from worldvla.reporting.markdown import page, table
from worldvla.reporting.provenance import duration, link, timing_of

NUM_POINTS = 40  # of a curve: each is the mean of as many steps
COLUMNS = 4
DPI = 80


@dataclass(frozen=True)
class Training:
    """The curve of one model: the mean loss of equal stretches of steps, by their last steps; validations by theirs."""

    steps: Sequence[int]
    losses: Sequence[float]
    validated: Sequence[int]
    validation_losses: Sequence[float]


Numbered = Mapping[int, Training | Absent]  # of one model
Trainings = Mapping[str, Mapping[str, Numbered]]  # suite -> variant -> its trainings


def _read_all(inputs: Inputs) -> Trainings:
    """Return the trainings of all variants, suites in the paper's order."""
    models, params = inputs.models, inputs.params
    return {
        suite: {
            name: {
                number: _read(models / run, Absent(f"{variant.stage('train')}@{run}", planned=True))
                for number in variant.trainings
                for run in [run_name(name, suite, number)]
            }
            for name, variant in params.variants.items()
        }
        for suite in in_order(params.suites)
    }


def _read(model: Path, absent: Absent) -> Training | Absent:
    path = model / "curve.parquet"
    if not path.exists():
        return absent
    columns = pq.read_table(path, columns=["cross_entropy", "validation_loss"]).to_pydict()
    losses, scored = columns["cross_entropy"], columns["validation_loss"]
    length = math.ceil(len(losses) / NUM_POINTS)
    stretches = [losses[start : start + length] for start in range(0, len(losses), length)]
    validated = [step for step, loss in enumerate(scored, start=1) if loss is not None]
    return Training(
        list(itertools.accumulate(map(len, stretches))),
        [sum(stretch) / len(stretch) for stretch in stretches],
        validated,
        [scored[step - 1] for step in validated],
    )


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``training.md``, its pictures, and what `dvc plots` draws: ``training_loss.csv``, ``validation_loss.csv``."""
    params, trainings = inputs.params, _read_all(inputs)
    text = page(
        f"# Training at scale `{params.scale}`: the loss of every model, and what its images keep",
        f"Benchmark `{params.benchmark}`, {params.demonstrations} demonstrations, seed {params.seed}. The loss is the "
        "weighted cross-entropy of the answers, so that models of different kinds of samples cannot be compared by it. "
        f"Lines: means of {NUM_POINTS} equal stretches of steps, the last of which is the loss at the end; points: held-out "
        "episodes; a line for each training of a model. A model that is trained on all episodes has none held out. The same numbers: [training_loss.csv](training_loss.csv) and "
        "[validation_loss.csv](validation_loss.csv); `dvc plots show` draws them, `dvc plots diff` those of experiments.",
        *[block for suite, group in trainings.items() for block in _section(folder, inputs, suite, group)],
        "## Images after the tokenizer",
        "Held-out frames, encoded and decoded. The foreground is what moves: robot and items.",
        *_tokenizers(folder, params, inputs.tokenizers),
    )
    (folder / "training.md").write_text(text, encoding="utf-8")
    present = {
        (f"{name}-{suite}", number): training
        for suite, group in trainings.items()
        for name, numbered in group.items()
        for number, training in _present(numbered).items()
    }
    _write_csv(folder / "training_loss.csv", {run: (one.steps, one.losses) for run, one in present.items()})
    _write_csv(
        folder / "validation_loss.csv", {run: (one.validated, one.validation_losses) for run, one in present.items()}
    )


def _present(numbered: Numbered) -> dict[int, Training]:
    return {number: training for number, training in numbered.items() if isinstance(training, Training)}


def _write_csv(path: Path, curves: Mapping[tuple[str, int], tuple[Sequence[int], Sequence[float]]]) -> None:
    """Write steps and losses by model and training."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("model", "training", "step", "loss"))
        for run, (steps, losses) in curves.items():
            writer.writerows((*run, step, f"{loss:.4f}") for step, loss in zip(steps, losses, strict=True))


def _section(folder: Path, inputs: Inputs, suite: str, group: Mapping[str, Numbered]) -> list[str]:
    """Return heading, picture and table of a suite."""
    params, lines = inputs.params, []
    for name, number, training in [(name, *item) for name, numbered in group.items() for item in numbered.items()]:
        run = run_name(name, suite, number)
        line = [name, str(number) if isinstance(training, Absent) else link(str(number), run)]
        line.append(" and ".join(params.variants[name].samples))
        if isinstance(training, Absent):
            lines.append([*line, "", str(training), "", ""])
            continue
        validation = f"{training.validation_losses[-1]:.3f}" if training.validation_losses else ""
        seconds = duration(timing_of(inputs.timing, run, "train", "finetune"))
        lines.append([*line, str(training.steps[-1]), f"{training.losses[-1]:.3f}", validation, seconds])
    header = ["Model", "Training", "Samples", "Steps", "Loss at the end", "Validation loss", "Time"]
    picture = f"training-{suite}.png"
    drawn = _draw(folder / picture, {name: list(one.values()) for name in group if (one := _present(group[name]))})
    return [
        f"## {suite.capitalize()} suite",
        f"![loss of each model over its steps, {suite} suite]({picture})" if drawn else "",
        table(header, lines, right=["Training", *header[3:]]),
    ]


def _draw(path: Path, trainings: Mapping[str, Sequence[Training]]) -> bool:
    """Draw one panel per model, a line for each of its trainings; return whether there was any."""
    if not trainings:
        return False
    lines = math.ceil(len(trainings) / COLUMNS)
    figure, grid = plt.subplots(lines, COLUMNS, squeeze=False, figsize=(12, 1.9 * lines + 0.6), layout="constrained")
    for axes in grid.flat[len(trainings) :]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(grid.flat, trainings.items(), strict=False):
        for training in curves:
            axes.plot(training.steps, training.losses, color="#8a5a00", linewidth=1.2, label="training")
            axes.plot(
                training.validated,
                training.validation_losses,
                "o",
                color="#1f5f78",
                markersize=3,
                label="held-out episodes",
            )
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


def _tokenizers(folder: Path, params: ReportParams, tokenizers: Path) -> list[str]:
    """Return the table of the image tokenizers and their pictures, copied to the reports."""
    sizes = {variant.images: variant.pixels for variant in params.variants.values()}
    lines, pictures = [], []
    for suite in in_order(params.suites):
        for images, pixels in sizes.items():
            source = tokenizers / f"{suite}-{images}"
            if not (source / "summary.json").exists():
                gap = str(Absent(f"tokenizer@{suite}-{images}", planned=True))
                lines.append([suite, f"{pixels} px", gap, "", "", ""])
                continue
            summary = json.loads((source / "summary.json").read_text(encoding="utf-8"))
            lines.append(
                [
                    suite,
                    f"{pixels} px",
                    f"{summary['psnr']:.1f} dB",
                    f"{summary['foreground_psnr']:.1f} dB",
                    str(summary["num_codes_used"]),
                    str(summary["num_frames"]),
                ]
            )
            name = f"tokenizer-{suite}-{pixels}px.png"
            shutil.copyfile(source / "reconstructions.png", folder / name)
            pictures.append(f"![{suite} suite at {pixels} px: frames above, decoded from their codes below]({name})")
    header = ["Suite", "Images", "PSNR", "PSNR of the foreground", "Codes used", "Frames"]
    return [table(header, lines, right=header[2:]), *pictures]
