"""A trained model as a policy: frames and instructions in, action chunks out."""

import dataclasses
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worldvla.files import write_json
from worldvla.model import chameleon, decoding
from worldvla.sequences import PROMPTS, action_prompt
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import Vocabulary, vocabulary

SETTINGS_FILE = "policy.json"


@dataclass(frozen=True)
class PolicySettings:
    """How a model was trained to be asked; stands in its folder.

    ``vocabulary`` is ``chameleon`` or ``compact``, ``prompt`` a key of ``sequences.PROMPTS``, ``mask`` one of
    ``masks.MASKS`` (it decides how a chunk is decoded), ``chunk`` the actions per answer, ``history`` the frames per query.
    """

    vocabulary: str
    prompt: str
    mask: str
    chunk: int
    history: int

    @classmethod
    def load(cls, model: Path) -> "PolicySettings":
        """Read the settings in a model's folder."""
        path = model / SETTINGS_FILE
        if not path.is_file():
            raise ValueError(f"{path}: no such file; expected the folder of a trained model. Run: dvc repro train")
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, model: Path) -> None:
        """Write the settings into a model's folder."""
        write_json(model / SETTINGS_FILE, dataclasses.asdict(self))


class ChameleonPolicy:
    """Greedy action chunks from codes of frames; weights in fp32 on a CPU, in bf16 on a GPU."""

    def __init__(
        self,
        model: chameleon.ChameleonForConditionalGeneration,
        ids: Vocabulary,
        images: ImageTokenizer,
        texts: TextTokenizer,
        actions: ActionTokenizer,
        settings: PolicySettings,
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = chameleon.placed(
            model, self._device, torch.bfloat16 if self._device.type == "cuda" else torch.float32
        )
        self._ids, self._images, self._texts, self._actions = ids, images, texts, actions
        self._settings = settings

    @classmethod
    def load(cls, model: Path, tokenizer: Path) -> "ChameleonPolicy":
        """Load a run's model and its suite's tokenizers.

        Args:
            model: folder of ``train``.
            tokenizer: folder of ``tokenizer``.

        Raises:
            ValueError: a folder is incomplete, or the model was trained on another vocabulary.
        """
        settings = PolicySettings.load(model)
        images = ImageTokenizer.load(tokenizer)
        texts = TextTokenizer.load(model / "text.json")
        ids = vocabulary(settings.vocabulary, texts.size, images.num_codes)
        transformer = chameleon.load(model)
        if transformer.config.vocab_size != ids.size:
            raise ValueError(
                f"{model}: the model has {transformer.config.vocab_size} tokens, {tokenizer} makes {ids.size}; "
                "they belong to different runs. Run: dvc repro train"
            )
        return cls(transformer, ids, images, texts, ActionTokenizer.load(model / "actions.json"), settings)

    @property
    def history(self) -> int:
        """Number of frames that a query holds (fewer at the start of an episode)."""
        return self._settings.history

    @property
    def chunk(self) -> int:
        """Number of actions that an answer holds."""
        return self._settings.chunk

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return row-major codes [N, n] of upright RGB frames [N, px, px, 3]."""
        return self._images.encode(frames)

    def act(self, languages: list[str], histories: list[NDArray[np.uint16]]) -> list[NDArray[np.float64] | None]:
        """Return one chunk of commands [K, 7] per query, or None for an answer that is not made of bins.

        Args:
            languages: instruction of each query.
            histories: codes [m, n] of its last frames, oldest first.
        """
        groups: dict[int, list[int]] = defaultdict(list)  # queries by length of the prompt: a batch has no padding
        prompts = []
        for number, (language, history) in enumerate(zip(languages, histories, strict=True)):
            text = self._texts.encode(PROMPTS[self._settings.prompt].format(task=language))
            prompts.append(action_prompt(self._ids, text, list(history)))
            groups[prompts[-1].size].append(number)
        decode = decoding.decode_lanes if self._settings.mask == "action" else decoding.decode_sequentially
        answers: list[NDArray[np.float64] | None] = [None] * len(prompts)
        for members in groups.values():
            batch = torch.from_numpy(np.stack([prompts[number] for number in members])).to(self._device)
            chunks = decode(self._model, self._ids, batch, self._settings.chunk).cpu().numpy()
            for number, tokens in zip(members, chunks, strict=True):
                bins = tokens - self._ids.first_bin
                if ((bins >= 0) & (bins < self._ids.num_bins)).all():
                    answers[number] = self._actions.decode(bins)
        return answers
