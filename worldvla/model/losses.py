"""The training loss: weighted cross-entropy on the answers, and z-loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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

    @classmethod
    def of(cls, total: Tensor, sums: Tensor) -> "Loss":
        """Return the loss of all answers whose ``sums`` (see ``Answers.sums``) were added up."""
        cross_entropy, z, *of_classes = sums.float().split([1, 1, *[len(CLASSES)] * 3])
        counts, errors, weighted = of_classes
        # Under "paper" and alpha 0 a batch of images alone weighs nothing: its shares are 0, not 0 / 0.
        whole = weighted.sum().clamp_min(torch.finfo(weighted.dtype).tiny)
        means = (errors / counts).masked_fill(counts == 0, math.nan)
        return cls(total, cross_entropy[0], z[0], means, weighted / whole)


@dataclass(frozen=True)
class Answers:
    """Answered tokens of a forward, and what each weighs in the loss of the step that they are a part of.

    Attributes:
        targets: the right tokens [answered].
        kinds: index of each into `CLASSES` [answered].
        weights: of each token's cross-entropy in the sum [answered].
        z_weight: factor of the mean squared log-partition.
        num_answered: tokens of the whole step.
    """

    targets: Tensor
    kinds: Tensor
    weights: Tensor
    z_weight: float
    num_answered: int

    def __call__(self, hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``cross_entropy`` of the states that predict the tokens [answered, width], by a head [vocabulary, width]."""
        return cross_entropy(hidden, head, self.targets, self.weights, self.z_weight, self.num_answered)

    def weightless(self) -> "Answers":
        """Return the same tokens, which add nothing to the loss and nothing to its gradients."""
        return replace(self, weights=torch.zeros_like(self.weights), z_weight=0.0)

    def sums(self, errors: Tensor, z: Tensor) -> Tensor:
        """Return what adds up over the forwards of a step, in fp64 [11].

        They are the weighted cross-entropy, the squared log-partitions as their part of the mean, and of each class the
        number of tokens, the cross-entropy and the weighted cross-entropy.
        """
        zeros = errors.new_zeros(len(CLASSES))
        weighted = self.weights * errors
        of_classes = [zeros.index_add(0, self.kinds, part) for part in (torch.ones_like(errors), errors, weighted)]
        return torch.cat([torch.stack([weighted.sum(), z]), *of_classes]).double()


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
        answers = self.answers(targets, self.weigh(targets))
        total, errors, z = answers(hidden, head.weight)
        return Loss.of(total, answers.sums(errors, z))

    def weigh(self, targets: Sequence[Tensor]) -> Tensor:
        """Return what the loss of a step is divided by, in fp64 [4]: it adds up over the parts of the step.

        They are the weight of all answered tokens under "release", the answered tokens of samples that answer with actions,
        those of samples that answer with images, and all.
        """
        kinds = self._all_kinds(targets)
        draws = kinds > 0
        return torch.stack(
            [self._released(kinds).sum(), (~draws).sum(), draws.sum(), kinds.new_tensor(len(kinds))]
        ).double()

    def answers(self, targets: Sequence[Tensor], weight: Tensor) -> Answers:
        """Return the answered tokens of a forward, weighed as a part of a step.

        Args:
            targets: as for a batch.
            weight: ``weigh`` of the whole step [4].
        """
        kinds = self._all_kinds(targets)
        flat = torch.cat([group.flatten() for group in targets])
        released, in_actions, in_images, num_answered = weight.float()
        if self.alpha_on == "release":
            weights = self._released(kinds) / released
        else:
            of_actions, of_images = 1 / in_actions.clamp_min(1), self.alpha / in_images.clamp_min(1)
            weights = torch.where(kinds > 0, of_images, of_actions)
        return Answers(flat, kinds, weights, self.z_weight, int(num_answered))

    def _all_kinds(self, targets: Sequence[Tensor]) -> Tensor:
        """Return the index into `CLASSES` of every answered token [answered]."""
        return torch.cat([self._kinds(group).flatten() for group in targets])

    def _kinds(self, targets: Tensor) -> Tensor:
        """Return the index into `CLASSES` of every answered token of a group [samples, answered]."""
        code = (targets >= self.ids.first_code) & (targets < self.ids.first_code + self.ids.num_codes)
        draws = code.any(dim=1, keepdim=True)
        return torch.where(code, 1, torch.where(draws, 2, 0))

    def _released(self, kinds: Tensor) -> Tensor:
        """Return what the release weighs answered tokens by, before the mean."""
        return torch.ones(len(kinds), device=kinds.device).masked_fill_(kinds == 1, self.alpha)
