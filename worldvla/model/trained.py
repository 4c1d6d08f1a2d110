"""What a training leaves in its folder, read back: the weights, the tokenizers they belong to, and how to ask."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from worldvla.files import write_json
from worldvla.model import placement, weights
from worldvla.model.chameleon import Chameleon
from worldvla.sequences import PROMPTS
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import Vocabulary, vocabulary

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class ModelSettings:
    """How a model was trained to be asked; stands in its folder.

    ``vocabulary`` is ``chameleon`` or ``compact``, ``samples`` the kinds of samples it has seen, ``prompt`` a key of
    ``sequences.PROMPTS``, ``mask`` one of ``masks.MASKS`` (it decides how a chunk is decoded), ``chunk`` the actions per
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
        content = json.loads(path.read_text(encoding="utf-8"))
        expected = {field.name for field in dataclasses.fields(cls)}
        if odd := sorted(content.keys() ^ expected):
            word = "is unknown" if odd[0] in content else "is missing"
            raise ValueError(f"{path}: '{odd[0]}' {word}; expected {', '.join(sorted(expected))}. Run: dvc repro train")
        return cls(**content | {"samples": tuple(content["samples"])})

    def save(self, model: Path) -> None:
        """Write the settings into a model's folder."""
        write_json(model / SETTINGS_FILE, dataclasses.asdict(self))


@dataclass(frozen=True)
class TrainedModel:
    """A model to ask; weights in fp32 on a CPU, in bf16 on a GPU."""

    transformer: Chameleon
    ids: Vocabulary
    images: ImageTokenizer
    texts: TextTokenizer
    actions: ActionTokenizer
    settings: ModelSettings
    device: torch.device

    @classmethod
    def load(cls, model: Path, tokenizer: Path, kind: str) -> "TrainedModel":
        """Load a run's model and its suite's tokenizers.

        Args:
            model: folder of ``train`` or ``finetune``.
            tokenizer: folder of ``tokenizer``.
            kind: what it will be asked for, ``action`` or ``world``.

        Raises:
            ValueError: a folder is incomplete, or the model was trained on another vocabulary, on codes of another image
                tokenizer or on other samples.
        """
        settings = ModelSettings.load(model)
        if kind not in settings.samples:
            raise ValueError(
                f"{model}: it was trained on {' and '.join(settings.samples)} samples, expected {kind} among them; "
                "correct the lists rollout and generate in params.yaml"
            )
        images = ImageTokenizer.load(tokenizer)
        if images.digest != settings.image_tokenizer:
            raise ValueError(
                f"{tokenizer}: the image tokenizer is {images.digest[:12]}, expected {settings.image_tokenizer[:12]}, whose "
                f"codes the model in {model} was trained on; they belong to different runs. Run: dvc repro train"
            )
        texts = TextTokenizer.load(model / "text.json")
        ids = vocabulary(settings.vocabulary, texts.size, images.num_codes)
        config = weights.read_config(model)
        if config.vocab_size != ids.size:
            raise ValueError(
                f"{model}: the model has {config.vocab_size} tokens, {tokenizer} makes {ids.size}; "
                "they belong to different runs. Run: dvc repro train"
            )
        device = placement.device()
        if device.type == "cpu":
            torch.set_num_threads(1)  # an answer must not depend on how many stages run side by side
        dtype = placement.answering(device)
        placement.check_room(config, dtype.itemsize, device, str(model))
        transformer = weights.load(model, device, dtype)
        return cls(transformer, ids, images, texts, ActionTokenizer.load(model / "actions.json"), settings, device)

    def prompt(self, kind: str, language: str) -> list[int]:
        """Return the text ids of the prompt that the model was trained with."""
        return self.texts.encode(PROMPTS[self.settings.prompt][kind].format(task=language))
