"""How a model was trained to be asked: what stands in its folder beside the weights."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldvla.files import write_json

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class ModelSettings:
    """How a model was trained to be asked; stands in its folder.

    ``vocabulary`` is ``chameleon`` or ``compact``, ``samples`` the kinds of samples it has seen, ``prompt`` a key of
    ``sequences.PROMPTS``, ``mask`` ``causal`` or ``action`` (it decides how a chunk is decoded), ``chunk`` the actions per
    answer, ``history`` the frames per query for actions, ``image_tokenizer`` the digest of the one that it knows codes of.
    """

    vocabulary: str
    samples: tuple[str, ...]
    prompt: str
    mask: str
    chunk: int
    history: int
    image_tokenizer: str

    @classmethod
    def load(cls, model: Path) -> "ModelSettings":
        """Read the settings in a model's folder."""
        path = model / SETTINGS_FILE
        if not path.is_file():
            raise ValueError(f"{path}: no such file; expected the folder of a trained model. Run: dvc repro train")
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ValueError(f"{path}: no mapping in JSON; expected how to ask the model. Run: dvc repro train")
        expected = {field.name for field in dataclasses.fields(cls)}
        if odd := sorted(content.keys() ^ expected):
            word = "is unknown" if odd[0] in content else "is missing"
            raise ValueError(f"{path}: '{odd[0]}' {word}; expected {', '.join(sorted(expected))}. Run: dvc repro train")
        values: dict[str, Any] = content | {"samples": tuple(content["samples"])}
        return cls(**values)

    def save(self, model: Path) -> None:
        """Write the settings into a model's folder."""
        write_json(model / SETTINGS_FILE, dataclasses.asdict(self))
