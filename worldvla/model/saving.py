"""What a training leaves behind: the model's folder, its card and its curve."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.files import write_text
from worldvla.model import weights
from worldvla.model.losses import CLASSES
from worldvla.model.settings import ModelSettings
from worldvla.model.training import Trained
from worldvla.plotting import plt

# One row per step. The mean cross-entropy of each class of answered tokens stands under its name, its part of
# cross_entropy under <class>_share.
CURVE = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.float64()),  # how often every sample has been seen
        ("learning_rate", pa.float64()),
        *((name, pa.float64()) for name in ("loss", "cross_entropy", "z", *CLASSES)),
        *((f"{name}_share", pa.float64()) for name in CLASSES),
        *((f"validation_{name}", pa.float64()) for name in ("loss", *CLASSES)),
    ]
)


def write_model(
    folder: Path, trained: Trained, settings: ModelSettings, tokenizer: Path, provenance: dict[str, Any]
) -> None:
    """Write a model into an existing folder.

    ``config.json`` and ``*.safetensors`` open with ``ChameleonModel.from_pretrained``; beside them the text and action
    tokenizers that the weights belong to, ``settings.json``, the curve as parquet and PNG, and a card (README.md).

    Args:
        folder: where to write.
        trained: the model and its curve.
        settings: how to ask the model.
        tokenizer: folder of the suite's tokenizers.
        provenance: name -> value lines of the card: the run, its episodes, the digests of everything that made the
            weights.
    """
    weights.save(trained.model, folder)
    settings.save(folder)
    for name in ("text.json", "actions.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    pq.write_table(pa.Table.from_pylist(trained.curve, schema=CURVE), folder / "curve.parquet")
    _draw_curve(trained.curve, folder / "curve.png")
    write_text(folder / "README.md", _card(trained, settings, provenance))


def shown(loss: float | None) -> str:
    """Return a loss in words."""
    return "not measured" if loss is None else f"{loss:.3f}"


def shares(curve: list[dict[str, Any]]) -> str:
    """Return in words which part of the cross-entropy each class of tokens had over the last tenth of the steps."""
    rows = curve[-max(1, len(curve) // 10) :]
    means = {name: sum(row[f"{name}_share"] for row in rows) / len(rows) for name in CLASSES}
    parts = [f"{name} {100 * mean:.0f} %" for name, mean in means.items() if mean > 0]
    return ", ".join(parts) or "none, as every answer weighs 0"


def _card(trained: Trained, settings: ModelSettings, provenance: dict[str, Any]) -> str:
    last = trained.curve[-1]
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    frames = f"the instruction and {settings.history} frames"
    answers = {
        "action": f"{frames} -> {settings.chunk} actions, under the {settings.mask} mask",
        "world": "a frame and an action -> the next frame",
        "video": f"{frames} -> future frames",
    }
    facts = {
        "parameters": f"{parameters:,}",
        "vocabulary": f"{settings.vocabulary}, {trained.model.config.vocab_size:,} tokens",
        **{f"{kind} samples": answers[kind] for kind in settings.samples},
        "trained for": f"{last['step']} steps, {last['epoch']:.2f} epochs",
        "validation loss": shown(last["validation_loss"]),
        "parts of the loss": shares(trained.curve),
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in (facts | provenance).items())
    return f"""# {provenance["run"]}

A WorldVLA model: Chameleon, without its image tokenizer.
`ChameleonModel.from_pretrained` opens this folder; `ChameleonPolicy.load` (`worldvla.model.policy`) makes a policy of it,
`WorldModel.load` (`worldvla.model.world`) a world model.

| | |
| --- | --- |
{rows}

![loss](curve.png)
"""


def _draw_curve(curve: list[dict[str, Any]], path: Path) -> None:
    """Draw the training loss of each class of tokens, smoothed, and the validation loss."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    width = max(1, len(curve) // 100)
    for name, colour in zip(CLASSES, ("tab:blue", "tab:green", "tab:gray"), strict=True):
        groups = (curve[start : start + width] for start in range(0, len(curve), width))
        values = [(group[-1]["step"], [row[name] for row in group if row[name] is not None]) for group in groups]
        means = [(step, sum(measured) / len(measured)) for step, measured in values if measured]
        if not means:
            continue
        axes.plot(*zip(*means, strict=True), label=f"{name}, mean of {width} steps", linewidth=1, color=colour)
        column = f"validation_{name}"
        held_out = [(row["step"], row[column]) for row in curve if row[column] is not None]
        if held_out:
            axes.plot(*zip(*held_out, strict=True), "o", label=f"{name}, validation", markersize=3, color=colour)
    axes.set(xlabel="step", ylabel="cross-entropy (nat)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
