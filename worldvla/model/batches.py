"""Training samples cut from tokenized episodes, and their order."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldvla.data.shards import TokenizedEpisode
from worldvla.masks import SHARED, lanes, mask_of
from worldvla.model.parts import Part
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
    """Samples padded on the right.

    Attributes:
        tokens: [batch, length].
        rows: positions whose next token is answered [batch, answered].
        targets: those next tokens [batch, answered].
        lanes: see ``masks`` [batch, length]; None if all are causal, which then needs no mask.
    """

    tokens: Tensor
    rows: Tensor
    targets: Tensor
    lanes: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        lanes = None if self.lanes is None else self.lanes.to(device)
        return Batch(self.tokens.to(device), self.rows.to(device), self.targets.to(device), lanes)

    @property
    def part(self) -> Part:
        """The batch as the model takes it."""
        mask = None if self.lanes is None else mask_of(self.lanes)
        return Part(self.tokens, mask, rows=self.rows)


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


def collate(samples: Sequence[Sample], mask: str, bucket: int = 1) -> list[Batch]:
    """Return samples under the mask called ``mask``, those with equally many answered tokens as one batch.

    So actions and images need no padding to each other. The batches of a forward are its parts, however many kinds of
    samples it has.

    Args:
        samples: to go through the model together.
        mask: who sees whom.
        bucket: sequences are padded to the next multiple of so many tokens.
    """
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[int((sample.labels != IGNORED).sum())].append(sample)
    return [_padded(groups[answered], mask, bucket) for answered in sorted(groups)]


def filled(samples: Sequence[Sample], tokens: int | None, bucket: int) -> list[list[Sample]]:
    """Return samples in groups of at most ``tokens``, paddings to ``bucket`` counted; a longer sample is a group alone.

    By tokens, not by samples: memory and time follow from them, and a frame of 512 px has four times those of 256.
    """
    groups: list[list[Sample]] = []
    room = 0
    for sample in samples:
        size = _rounded(sample.tokens.size, bucket)
        if not groups or (tokens is not None and size > room):
            groups.append([])
            room = tokens or 0
        groups[-1].append(sample)
        room -= size
    return groups


def _rounded(length: int, bucket: int) -> int:
    return -(-length // bucket) * bucket


def _padded(samples: Sequence[Sample], mask: str, bucket: int) -> Batch:
    length = _rounded(max(sample.tokens.size for sample in samples), bucket)
    tokens = np.full((len(samples), length), PADDING, np.int64)
    of_mask = np.full((len(samples), length), SHARED, np.int16)
    rows, targets = [], []
    for row, sample in enumerate(samples):
        tokens[row, : sample.tokens.size] = sample.tokens
        of_mask[row, : sample.tokens.size] = lanes(mask, sample.layout)
        answered = np.flatnonzero(sample.labels != IGNORED)
        rows.append(answered - 1)
        targets.append(sample.labels[answered])
    causal = (of_mask == SHARED).all()
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(np.stack(rows)),
        torch.from_numpy(np.stack(targets)),
        None if causal else torch.from_numpy(of_mask),
    )


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
