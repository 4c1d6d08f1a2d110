"""The page of the trainings: loss curves of every model, their ends, and what the image tokenizers keep."""

import csv
import itertools
import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from worldvla.params.trainings import run_name
from worldvla.plotting import plt
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Absent, in_order
from worldvla.reporting.markdown import page, table
from worldvla.reporting.provenance import duration, link, timing_of

NUM_POINTS = 40  # of a curve: each is the mean of as many steps
COLUMNS, DPI = 4, 80

Points = Sequence[tuple[int, float]]  # step and loss


@dataclass(frozen=True)
class Training:
    """The curve of one training: the mean loss of equal stretches of steps, by their last steps; validations by theirs."""

    losses: Points
    validations: Points


Key = tuple[str, str, int]  # suite, variant and number


def write_page(folder: Path, inputs: Inputs) -> None:
    """Write ``training.md``, its pictures, and what `dvc plots` draws: ``training_loss.csv``, ``validation_loss.csv``."""
    params = inputs.params
    trainings: dict[Key, Training | Absent] = {}
    for suite, (name, variant) in itertools.product(in_order(params.suites), params.variants.items()):
        for number in variant.trainings:
            run = run_name(name, suite, number)
            trainings[suite, name, number] = _read(inputs.models / run, f"{variant.stage('train')}@{run}")
    text = page(
        f"# Training at scale `{params.scale}`: the loss of every model, and what its images keep",
        f"{inputs.about} The loss is the weighted cross-entropy of the answers, so that models of different kinds of samples "
        f"cannot be compared by it. Lines: means of {NUM_POINTS} equal stretches of steps, the last of which is the loss at the "
        "end; points: held-out episodes; a line for each training of a model. A model that is trained on all episodes has none "
        "held out. The same numbers: [training_loss.csv](training_loss.csv) and [validation_loss.csv](validation_loss.csv); "
        "`dvc plots show` draws them, `dvc plots diff` those of experiments.",
        *[block for suite in in_order(params.suites) for block in _section(folder, inputs, suite, trainings)],
        "## Images after the tokenizer",
        "Held-out frames, encoded and decoded. The foreground is what moves: robot and items.",
        *_tokenizers(folder, inputs),
    )
    (folder / "training.md").write_text(text, encoding="utf-8")
    present = {key: one for key, one in trainings.items() if isinstance(one, Training)}
    _write_csv(folder / "training_loss.csv", ((key, one.losses) for key, one in present.items()))
    _write_csv(folder / "validation_loss.csv", ((key, one.validations) for key, one in present.items()))


def _read(model: Path, stage: str) -> Training | Absent:
    path = model / "curve.parquet"
    if not path.exists():
        return Absent(stage, planned=True)
    columns = pq.read_table(path, columns=["cross_entropy", "validation_loss"]).to_pydict()
    losses, scored = columns["cross_entropy"], columns["validation_loss"]
    length = math.ceil(len(losses) / NUM_POINTS)
    stretches = [losses[start : start + length] for start in range(0, len(losses), length)]
    ends = itertools.accumulate(map(len, stretches))
    return Training(
        [(end, sum(stretch) / len(stretch)) for end, stretch in zip(ends, stretches, strict=True)],
        [(step, loss) for step, loss in enumerate(scored, start=1) if loss is not None],
    )


def _write_csv(path: Path, curves: Iterable[tuple[Key, Points]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("model", "training", "step", "loss"))
        for (suite, name, number), points in curves:
            writer.writerows((f"{name}-{suite}", number, step, f"{loss:.4f}") for step, loss in points)


def _section(folder: Path, inputs: Inputs, suite: str, trainings: Mapping[Key, Training | Absent]) -> list[str]:
    """Return heading, picture and table of a suite."""
    lines, drawn = [], dict[str, list[Training]]()
    for (of, name, number), one in trainings.items():
        if of != suite:
            continue
        run, samples = run_name(name, suite, number), " and ".join(inputs.params.variants[name].samples)
        if isinstance(one, Absent):
            lines.append([name, str(number), samples, "", str(one), "", ""])
            continue
        drawn.setdefault(name, []).append(one)
        validation = f"{one.validations[-1][1]:.3f}" if one.validations else ""
        end, loss = one.losses[-1]
        took = duration(timing_of(inputs.timing, run, "train", "finetune"))
        lines.append([name, link(str(number), run), samples, str(end), f"{loss:.3f}", validation, took])
    header = ["Model", "Training", "Samples", "Steps", "Loss at the end", "Validation loss", "Time"]
    _draw(folder / f"training-{suite}.png", drawn)
    return [
        f"## {suite.capitalize()} suite",
        f"![loss of each model over its steps, {suite} suite](training-{suite}.png)" if drawn else "",
        table(header, lines, right=["Training", *header[3:]]),
    ]


def _draw(path: Path, drawn: Mapping[str, Sequence[Training]]) -> None:
    """Draw one panel per model, a line for each of its trainings; nothing without any."""
    if not drawn:
        return
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


def _tokenizers(folder: Path, inputs: Inputs) -> list[str]:
    """Return the table of the image tokenizers and their pictures, copied to the reports."""
    sizes = {variant.images: variant.pixels for variant in inputs.params.variants.values()}
    lines, pictures = [], []
    for suite, (images, pixels) in itertools.product(in_order(inputs.params.suites), sizes.items()):
        source = inputs.tokenizers / f"{suite}-{images}"
        if not (source / "summary.json").exists():
            lines.append([suite, f"{pixels} px", str(Absent(f"tokenizer@{suite}-{images}", planned=True)), "", "", ""])
            continue
        found = json.loads((source / "summary.json").read_text(encoding="utf-8"))
        line = [f"{found[name]:.1f} dB" for name in ("psnr", "foreground_psnr")]
        lines.append([suite, f"{pixels} px", *line, str(found["num_codes_used"]), str(found["num_frames"])])
        name = f"tokenizer-{suite}-{pixels}px.png"
        shutil.copyfile(source / "reconstructions.png", folder / name)
        pictures.append(f"![{suite} suite at {pixels} px: frames above, decoded from their codes below]({name})")
    header = ["Suite", "Images", "PSNR", "PSNR of the foreground", "Codes used", "Frames"]
    return [table(header, lines, right=header[2:]), *pictures]
