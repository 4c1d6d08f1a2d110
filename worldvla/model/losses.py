"""The training loss: weighted cross-entropy on the answer, and z-loss."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldvla.sequences import IGNORED
from worldvla.vocabulary import Vocabulary


@dataclass(frozen=True)
class Loss:
    """The scalar to minimise and its parts, all differentiable."""

    total: Tensor
    cross_entropy: Tensor
    z: Tensor


def class_weights(vocabulary: Vocabulary, image_weight: float) -> Tensor:
    """Return one weight per token id [size]: ``image_weight`` for image codes, 1 for everything else.

    Source: paper section 3.4 (alpha = 0.04), applied as the release does, per class inside a weighted mean.
    Deviation: the release's range is off by one (3..8194); ours is the codes' (4..8195).
    """
    weights = torch.ones(vocabulary.size)
    weights[vocabulary.first_code : vocabulary.first_code + vocabulary.num_codes] = image_weight
    return weights


def answer_loss(hidden: Tensor, labels: Tensor, head: nn.Module, weights: Tensor, z_weight: float) -> Loss:
    """Return the loss of a batch.

    The hidden states are gathered at the labelled positions before the head, so that logits exist for the answer only
    (2 percent of an action sample's positions at 512 px).

    Args:
        hidden: [batch, length, hidden_size]; position p predicts the label at p + 1.
        labels: [batch, length], ``IGNORED`` where there is no loss.
        head: from hidden states to logits [.., vocabulary].
        weights: [vocabulary], see ``class_weights``.
        z_weight: factor of the mean squared log-partition (unweighted by class), 1e-5 in the release.
    """
    answered = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][answered]
    logits = head(hidden[:, :-1][answered]).float()
    cross_entropy = F.cross_entropy(logits, targets, weight=weights)  # sum(w * ce) / sum(w)
    z = logits.logsumexp(dim=-1).square().mean()
    return Loss(cross_entropy + z_weight * z, cross_entropy, z)
