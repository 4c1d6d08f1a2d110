"""What a training leaves behind: the model's folder, its card and its curve."""

import shutil
from pathlib import Path
from typing import Any

import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.files import write_text
from worldvla.model.policy import PolicySettings
from worldvla.model.training import Trained

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CURVE = pa.schema(
    [
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("cross_entropy", pa.float64()),
        ("z", pa.float64()),
        ("learning_rate", pa.float64()),
        ("validation_loss", pa.float64()),
    ]
)


def write_model(
    folder: Path, trained: Trained, settings: PolicySettings, tokenizer: Path, provenance: dict[str, Any]
) -> None:
    """Write a model into an existing folder.

    ``config.json`` and ``*.safetensors`` open with ``ChameleonModel.from_pretrained``; beside them the text and action
    tokenizers that the weights belong to, ``policy.json``, the curve as parquet and PNG, and a card (README.md).

    Args:
        folder: where to write.
        trained: the model and its curve.
        settings: how to ask the model.
        tokenizer: folder of the suite's tokenizers.
        provenance: name -> value lines of the card, the digests of everything that made the weights.
    """
    trained.model.save_pretrained(folder)
    settings.save(folder)
    for name in ("text.json", "actions.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    pq.write_table(pa.Table.from_pylist(trained.curve, schema=CURVE), folder / "curve.parquet")
    _draw_curve(trained.curve, folder / "curve.png")
    write_text(folder / "README.md", _card(trained, settings, provenance))


def shown(loss: float | None) -> str:
    """Return a loss in words."""
    return "not measured" if loss is None else f"{loss:.3f}"


def _card(trained: Trained, settings: PolicySettings, provenance: dict[str, Any]) -> str:
    last = trained.curve[-1]
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    facts = {
        "parameters": f"{parameters:,}",
        "vocabulary": f"{settings.vocabulary}, {trained.model.config.vocab_size:,} tokens",
        "answers with": f"{settings.chunk} action{'s' if settings.chunk > 1 else ''} under the {settings.mask} mask",
        "reads": f"the instruction and {settings.history} frames of the agentview",
        "trained for": f"{last['step']} steps",
        "validation loss": shown(last["validation_loss"]),
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in (facts | provenance).items())
    return f"""# {provenance["run"]}

A WorldVLA model: Chameleon of transformers, without its image tokenizer.
`ChameleonModel.from_pretrained` opens this folder; `worldvla.model.policy.ChameleonPolicy.load` makes a policy of it.

| | |
| --- | --- |
{rows}

![loss](curve.png)
"""


def _draw_curve(curve: list[dict[str, Any]], path: Path) -> None:
    """Draw the training loss, smoothed, and the validation loss."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    width = max(1, len(curve) // 100)
    means = [
        (rows[-1]["step"], sum(row["cross_entropy"] for row in rows) / len(rows))
        for rows in (curve[start : start + width] for start in range(0, len(curve), width))
    ]
    axes.plot(*zip(*means, strict=True), label=f"training, mean of {width} steps", linewidth=1)
    measured = [(row["step"], row["validation_loss"]) for row in curve if row["validation_loss"] is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", label="validation", markersize=3)
    axes.set(xlabel="step", ylabel="cross-entropy (nat)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
