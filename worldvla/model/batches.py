"""Training samples cut from tokenized episodes, and their order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldvla.data.shards import TokenizedEpisode
from worldvla.masks import mask_of
from worldvla.sequences import IGNORED, PROMPTS, Sample, action_sample, action_windows
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.vocabulary import Vocabulary

PADDING = 0  # what stands there is never seen by an earlier token and carries no loss


@dataclass(frozen=True)
class Batch:
    """Samples padded on the right: tokens and labels [batch, length], mask [batch or 1, length, length]."""

    tokens: Tensor
    labels: Tensor
    mask: Tensor

    def to(self, device: str) -> "Batch":
        """Return the batch on a device."""
        return Batch(self.tokens.to(device), self.labels.to(device), self.mask.to(device))


class ActionWindows:
    """Every action sample of some episodes, made when asked for: chunk and history need no encoding of their own.

    Raises:
        ValueError: no episode is as long as a chunk.
    """

    def __init__(
        self,
        episodes: Sequence[TokenizedEpisode],
        ids: Vocabulary,
        texts: TextTokenizer,
        actions: ActionTokenizer,
        *,
        prompt: str,
        chunk: int,
        history: int,
    ) -> None:
        self._ids = ids
        self._codes = [episode.codes for episode in episodes]
        self._bins = [actions.encode(episode.actions) for episode in episodes]
        self._texts = [texts.encode(PROMPTS[prompt].format(task=episode.language)) for episode in episodes]
        self._windows = [
            (number, images, answered)
            for number, bins in enumerate(self._bins)
            for images, answered in action_windows(len(bins), chunk, history)
        ]
        if not self._windows:
            longest = max((len(bins) for bins in self._bins), default=0)
            raise ValueError(
                f"train: chunk is {chunk} but the longest of {len(episodes)} episodes has {longest} steps; "
                "choose a shorter chunk in params.yaml"
            )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        number, images, answered = self._windows[index]
        return action_sample(
            self._ids,
            self._texts[number],
            [self._codes[number][step] for step in images],
            self._bins[number][answered.start : answered.stop],
        )


def collate(samples: Sequence[Sample], mask: str) -> Batch:
    """Return samples as one batch, each under its own mask called ``mask``."""
    length = max(sample.tokens.size for sample in samples)
    tokens = np.full((len(samples), length), PADDING, dtype=np.int64)
    labels = np.full((len(samples), length), IGNORED, dtype=np.int64)
    for row, sample in enumerate(samples):
        tokens[row, : sample.tokens.size] = sample.tokens
        labels[row, : sample.tokens.size] = sample.labels
    layouts = {sample.layout for sample in samples}
    if len(layouts) == 1:
        masks = mask_of(mask, samples[0].layout)[None]
    else:
        # Padding sees what a causal token sees: a row without any key would be not a number.
        masks = torch.ones(length, length, dtype=torch.bool).tril().repeat(len(samples), 1, 1)
        for row, sample in enumerate(samples):
            masks[row, : sample.tokens.size, : sample.tokens.size] = mask_of(mask, sample.layout)
    return Batch(torch.from_numpy(tokens), torch.from_numpy(labels), masks)


def batch_indices(num_samples: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Return the samples of training step ``step`` (from 0): a uniform shuffle per epoch, its remainder dropped.

    The order follows from seed and step alone, so that a resumed training goes on with the samples it would have seen.
    Source: the release's sampler.
    """
    if num_samples < batch:
        raise ValueError(
            f"train: got {num_samples} samples, expected at least one batch of {batch}; record more demonstrations"
        )
    epoch, position = divmod(step, num_samples // batch)
    order = np.random.default_rng([seed, epoch]).permutation(num_samples)
    return order[position * batch : (position + 1) * batch]
