"""The training loss: weighted cross-entropy on the answers, and z-loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldvla.model.cross_entropy import cross_entropy
from worldvla.params.train import Reading, TrainParams
from worldvla.vocabulary import Vocabulary

# What an answer's tokens are: those of an answered action, with their markers; of an answered image, its codes and the
# rest (markers, rows, separators).
CLASSES = ("action", "code", "structure")


@dataclass(frozen=True)
class Loss:
    """The scalar to minimise and its parts.

    ``total`` is differentiable. ``means`` [3] holds the unweighted mean cross-entropy of each of `CLASSES` (not a number
    where the batch has none), ``shares`` [3] their parts of ``cross_entropy``, which add up to 1; all are 0 where it is.
    """

    total: Tensor
    cross_entropy: Tensor
    z: Tensor
    means: Tensor
    shares: Tensor


@dataclass(frozen=True)
class AnswerLoss:
    """How the tokens of an answer weigh.

    ``alpha`` is the paper's factor of images (section 4.1: 0.04). ``alpha_on`` "release" makes it the weight of a code in
    one weighted mean over all answered tokens, while an image's markers weigh 1, as in the released code. "paper" is
    equation 4: the mean over action samples, plus alpha times the mean over samples that answer with images.
    ``z_weight`` is the factor of the mean squared log-partition, unweighted; 1e-5 in the release.

    Deviation: the release's range of codes is off by one (3..8194); ours is the codes' (4..8195).
    """

    ids: Vocabulary
    alpha: float
    alpha_on: Reading
    z_weight: float

    @classmethod
    def of(cls, ids: Vocabulary, params: TrainParams) -> "AnswerLoss":
        """Return the loss of a run.

        Raises:
            ValueError: it has samples that answer with images, but not what they weigh.
        """
        drawing = [kind for kind in params.samples if kind != "action"]
        for name, value, place in (
            ("alpha", params.alpha, "train.alpha in conf/"),
            ("alpha_on", params.alpha_on, "alpha_on in params.yaml"),
        ):
            if drawing and value is None:
                raise ValueError(
                    f"train: {name} is null; expected what images weigh, as the run has {' and '.join(drawing)} samples; "
                    f"set {place}"
                )
        if params.alpha is None or params.alpha_on is None:
            return cls(ids, 1.0, "release", params.z_loss)  # of actions alone: every token weighs the same
        return cls(ids, params.alpha, params.alpha_on, params.z_loss)

    def __call__(self, hidden: Tensor, targets: Sequence[Tensor], head: nn.Linear) -> Loss:
        """Return the loss of a batch.

        Args:
            hidden: the states that predict the answered tokens [answered, hidden_size].
            targets: those tokens in groups [samples, answered of a sample], in the same order.
            head: from hidden states to logits.
        """
        kinds = torch.cat([self._kinds(group).flatten() for group in targets])
        weights = self._weights(kinds)
        flat = torch.cat([group.flatten() for group in targets])
        total, errors, z = cross_entropy(hidden, head.weight, flat, weights, self.z_weight)
        means, shares = _parts(errors, weights, kinds)
        return Loss(total, (weights * errors).sum(), z, means, shares)

    def _kinds(self, targets: Tensor) -> Tensor:
        """Return the index into `CLASSES` of every answered token [samples, answered]."""
        code = (targets >= self.ids.first_code) & (targets < self.ids.first_code + self.ids.num_codes)
        draws = code.any(dim=1, keepdim=True)
        return torch.where(code, 1, torch.where(draws, 2, 0))

    def _weights(self, kinds: Tensor) -> Tensor:
        """Return the weight of every answered token's cross-entropy in the sum [num_answered]."""
        if self.alpha_on == "release":
            weights = torch.ones(len(kinds), device=kinds.device).masked_fill_(kinds == 1, self.alpha)
            return weights / weights.sum()
        draws = kinds > 0
        in_actions, in_images = (~draws).sum().clamp_min(1), draws.sum().clamp_min(1)
        return torch.where(draws, self.alpha / in_images, 1 / in_actions)


def _parts(errors: Tensor, weights: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the share of each class."""
    num_classes = len(CLASSES)
    zeros = errors.new_zeros(num_classes)
    counts = zeros.index_add(0, kinds, torch.ones_like(errors))
    means = zeros.index_add(0, kinds, errors) / counts
    weighted = zeros.index_add(0, kinds, weights * errors)
    # Under "paper" and alpha 0 a batch of images alone weighs nothing: its shares are 0, not 0 / 0.
    total = weighted.sum().clamp_min(torch.finfo(weighted.dtype).tiny)
    return means.masked_fill(counts == 0, math.nan), weighted / total
