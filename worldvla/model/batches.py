"""Training samples cut from tokenized episodes, and their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldvla.data.shards import TokenizedEpisode
from worldvla.masks import mask_of
from worldvla.params.train import TrainParams
from worldvla.sequences import (
    IGNORED,
    PROMPTS,
    Sample,
    action_sample,
    action_windows,
    video_sample,
    video_windows,
    world_sample,
    world_windows,
)
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


class Windows:
    """Every sample of some episodes, of one or several kinds in one pool, made when asked for.

    Chunk, history and rounds are cut here, so they need no encoding of their own. Source: the release mixes the samples of
    its two kinds uniformly, each once per epoch.

    Raises:
        ValueError: no episode is long enough for a sample of some kind, or a world sample has no number of rounds.
    """

    def __init__(
        self,
        episodes: Sequence[TokenizedEpisode],
        ids: Vocabulary,
        texts: TextTokenizer,
        actions: ActionTokenizer,
        params: TrainParams,
    ) -> None:
        self._ids = ids
        self._codes = [episode.codes for episode in episodes]
        self._bins = [actions.encode(episode.actions) for episode in episodes]
        self._windows: list[Callable[[], Sample]] = []
        for kind in params.samples:
            prompt = PROMPTS[params.prompt][kind]
            cut = {"action": self._action, "world": self._world, "video": self._video}[kind]
            windows = [
                window
                for number, episode in enumerate(episodes)
                for window in cut(number, texts.encode(prompt.format(task=episode.language)), params)
            ]
            if not windows:
                longest = max((len(bins) for bins in self._bins), default=0)
                size = {
                    "action": f"chunk {params.chunk}",
                    "world": f"{params.rounds} rounds",
                    "video": f"{params.num_future} future frames",
                }[kind]
                raise ValueError(
                    f"train: no {kind} sample of {size} fits into the longest of {len(episodes)} episodes, which has "
                    f"{longest} steps; lower it in params.yaml or conf/"
                )
            self._windows += windows

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._windows)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample; the kinds stand one after the other, each in the order of the episodes."""
        return self._windows[index]()

    def _action(self, number: int, text: list[int], params: TrainParams) -> Iterator[Callable[[], Sample]]:
        codes, bins = self._codes[number], self._bins[number]
        for images, answered in action_windows(len(bins), params.chunk, params.history):
            yield partial(action_sample, self._ids, text, codes[_slice(images)], bins[_slice(answered)])

    def _world(self, number: int, text: list[int], params: TrainParams) -> Iterator[Callable[[], Sample]]:
        if params.rounds is None:
            raise ValueError(
                "train: rounds is null; expected a number, as the run has world samples; set rounds in params.yaml"
            )
        codes, bins = self._codes[number], self._bins[number]
        for steps in world_windows(len(bins), params.rounds):
            images = codes[steps.start : steps.stop + 1]
            yield partial(world_sample, self._ids, text, images, bins[_slice(steps)])

    def _video(self, number: int, text: list[int], params: TrainParams) -> Iterator[Callable[[], Sample]]:
        codes = self._codes[number]
        for images, future in video_windows(len(codes), params.num_future, params.history):
            yield partial(video_sample, self._ids, text, codes[_slice(images)], codes[_slice(future)])


def _slice(steps: range) -> slice:
    return slice(steps.start, steps.stop)


def collate_apart(samples: Sequence[Sample], mask: str) -> list[Batch]:
    """Return samples as one batch per kind of answer: actions and images differ in length, and padding costs time."""
    answers = sorted({sample.layout.answer for sample in samples}, key=lambda kind: kind.value)
    return [collate([sample for sample in samples if sample.layout.answer is answer], mask) for answer in answers]


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
