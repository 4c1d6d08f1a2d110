"""Chunks of actions that are drawn from a policy's distribution, and how likely a policy finds given chunks."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from worldvla.masks import lanes, mask_of
from worldvla.model import decoding
from worldvla.model.chameleon import Chameleon
from worldvla.model.cross_entropy import cross_entropy
from worldvla.model.decoding import ACTION_DIM
from worldvla.model.parts import Part
from worldvla.sequences import Sample
from worldvla.vocabulary import Vocabulary


@torch.inference_mode()
def draw(
    model: Chameleon, vocabulary: Vocabulary, prompts: Tensor, mask: str, noise: Tensor, temperature: float
) -> Tensor:
    """Draw a chunk behind every prompt: each bin from its distribution given all that its mask lets it see.

    Args:
        model: the policy.
        vocabulary: its ids.
        prompts: [batch, P] tokens up to and including the separator, all of one length.
        mask: under which the model was trained, ``causal`` or ``action``.
        noise: standard Gumbel numbers, one for each bin at each place [batch, K, 7, bins]; they alone are random.
        temperature: by which logits are divided; below 1 the chunks are nearer to the greedy one.

    Returns:
        [batch, K, 7] tokens, bins all of them: of other tokens nothing is drawn.
    """
    chunk = noise.shape[1]
    if mask == "action":  # one step chooses the same place of all actions
        decode, by_step = decoding.decode_lanes, noise.transpose(1, 2).flatten(2, 3).unbind(1)
        by_step = tuple(step.reshape(-1, vocabulary.num_bins) for step in by_step)
    else:
        decode, by_step = decoding.decode_sequentially, noise.flatten(1, 2).unbind(1)
    drawing = _Drawing(model, vocabulary, iter(by_step), temperature)
    return decode(cast(Chameleon, drawing), vocabulary, prompts, chunk)


class _Drawing:
    """A transformer as the decoders ask it, whose head knows bins alone and perturbs their logits.

    The likeliest token is then a draw from the softmax of the logits over the temperature (Gumbel's trick): so what takes the
    likeliest one draws.
    """

    def __init__(self, model: Chameleon, vocabulary: Vocabulary, noise: Iterator[Tensor], temperature: float) -> None:
        self._model, self._ids, self._noise, self._temperature = model, vocabulary, noise, temperature
        self.config, self.type_of_products = model.config, model.type_of_products

    def __call__(self, *parts: Part) -> Any:
        return self._model(*parts)

    def lm_head(self, hidden: Tensor) -> Tensor:
        """Return what the likeliest token is taken of [tokens, vocabulary]."""
        first, stop = self._ids.first_bin, self._ids.first_bin + self._ids.num_bins
        logits = (hidden @ self._model.lm_head.weight[first:stop].T.to(hidden.dtype)).float()
        perturbed = logits / self._temperature + next(self._noise)
        return F.pad(perturbed, (first, self._ids.size - stop), value=-torch.inf)


@torch.inference_mode()
def log_probabilities(model: Chameleon, vocabulary: Vocabulary, samples: Sequence[Sample], mask: str) -> Tensor:
    """Return the log-probability of every answered bin [batch, K, 7], given all before it that the mask lets it see.

    Among all tokens, as the model was trained and as it decodes greedily; in one forward pass.

    Args:
        model: the policy.
        vocabulary: its ids.
        samples: of actions (``sequences.action_sample``), all of one layout.
        mask: under which the model was trained.
    """
    device = model.lm_head.weight.device
    tokens, labels = (
        torch.from_numpy(np.stack([getattr(sample, name) for sample in samples])).to(device)
        for name in ("tokens", "labels")
    )
    seen = mask_of(torch.from_numpy(lanes(mask, samples[0].layout)).to(device)[None])
    is_bin = (labels[0] >= vocabulary.first_bin) & (labels[0] < vocabulary.first_bin + vocabulary.num_bins)
    places = is_bin.nonzero()[:, 0].expand(len(samples), -1)
    hidden = model(Part(tokens, seen, rows=places - 1))  # a token is answered where the one before it stands
    targets = tokens.gather(1, places).flatten()
    weights = torch.ones(targets.shape, device=device)
    _, errors, _ = cross_entropy(hidden, model.lm_head.weight, targets, weights, z_weight=0.0)
    return -errors.view(len(samples), -1, ACTION_DIM)
