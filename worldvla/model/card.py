"""What a model's card says of what made the weights, besides the seed: the same for all trainings of a row."""

import dataclasses
import re
from pathlib import Path

from worldvla.files import value_digest
from worldvla.params.train import TrainParams

CARD = "README.md"
# Key -> what the card calls it, before "sha256".
LINES = {"data": "shards", "recipe": "params besides the seed", "trained_by": "code"}
UNKNOWN = "unknown"  # of weights that were not trained here


def recipe(settings: TrainParams) -> str:
    """Return the sha256 of the params of a training besides its seed."""
    return value_digest({key: value for key, value in dataclasses.asdict(settings).items() if key != "seed"})


def made_of(model: Path) -> dict[str, str]:
    """Return the sha256 of a model's training data, of the params of its training, and of the code that trained it."""
    text = (model / CARD).read_text(encoding="utf-8")
    found = {key: re.search(rf"\| {name} sha256 \| (\w+)", text) for key, name in LINES.items()}
    return {key: UNKNOWN if line is None else line[1] for key, line in found.items()}
