"""What a training leaves in its folder, read back: the weights, the tokenizers they belong to, and how to ask."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from worldvla.model import placement, weights
from worldvla.model.chameleon import Chameleon
from worldvla.model.decoding import BLOCK
from worldvla.model.settings import ModelSettings
from worldvla.sequences import PROMPTS
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import Vocabulary, vocabulary

PROMPT_TEXT = 64  # tokens of a prompt beside its images, at most about


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
    def load(cls, model: Path, tokenizer: Path, kind: str, batch: int = 1) -> "TrainedModel":
        """Load a run's model and its suite's tokenizers.

        Args:
            model: folder of ``train`` or ``finetune``.
            tokenizer: folder of ``tokenizer``.
            kind: what it will be asked for, ``action`` or ``world``.
            batch: how many questions at a time; room for their keys and values is asked for too.

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
        frame = ids.image(np.zeros(images.codes_per_image, np.int64)).size
        answer = BLOCK * settings.chunk if kind == "action" else frame
        tokens = PROMPT_TEXT + frame * (settings.history if kind == "action" else 1) + answer
        held = placement.cache_bytes(config, batch, tokens, dtype)
        placement.check_room(config, dtype.itemsize, held, device, str(model))
        transformer = weights.load(model, device, dtype)
        return cls(transformer, ids, images, texts, ActionTokenizer.load(model / "actions.json"), settings, device)

    def prompt(self, kind: str, language: str) -> list[int]:
        """Return the text ids of the prompt that the model was trained with."""
        return self.texts.encode(PROMPTS[self.settings.prompt][kind].format(task=language))
