"""The loss of one step, and its gradients: over as many forwards as memory wants, and as many processes as there are.

A process takes every n-th sample of a step. All make the same number of forwards, whatever their samples are, for every forward
waits for all. The loss is divided by the weight of all answered tokens of the step, so that its parts add up to the loss of one forward.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldvla.model.batches import Batch, Windows, collate, filled
from worldvla.model.chameleon import Chameleon
from worldvla.model.losses import AnswerLoss, Loss
from worldvla.model.ranks import Ranks
from worldvla.model.sharding import release
from worldvla.params.train import TrainParams
from worldvla.sequences import Sample

BUCKET = {"cpu": 1, "cuda": 64}  # lengths of sequences: few shapes on a GPU, and multiples that its kernels like


@dataclass(frozen=True)
class Share:
    """What a process does of a step.

    Attributes:
        forwards: the parts of each forward, on the CPU; as many forwards as every other process has.
        own: this process's samples.
        num_own: the first so many are this process's samples; the others add nothing.
        weight: of the answered tokens of all processes [4], see ``AnswerLoss.weigh``.
    """

    forwards: list[list[Batch]]
    own: list[Sample]
    num_own: int
    weight: Tensor


@dataclass(frozen=True)
class Steps:
    """How steps are computed.

    Attributes:
        model: what is trained.
        loss: what its answers weigh.
        params: of the training.
        ranks: the processes that share it.
        device: where the model is.
        tokens: of a forward, at most; None: all samples of a process at once.
        bucket: sequences are padded to the next multiple of so many tokens.
    """

    model: Chameleon
    loss: AnswerLoss
    params: TrainParams
    ranks: Ranks
    device: torch.device
    tokens: int | None
    bucket: int

    def share(self, samples: Windows, indices: Sequence[int]) -> Share:
        """Return this process's share of the samples with these indices."""
        own = [samples[index] for index in indices[self.ranks.rank :: self.ranks.world]]
        groups = [collate(group, self.params.mask, self.bucket) for group in filled(own, self.tokens, self.bucket)]
        num_own, num = len(groups), self.ranks.most(len(groups))
        weights = [self.loss.weigh([part.targets for part in parts]) for parts in groups]
        weight = self.ranks.summed(torch.stack(weights).sum(dim=0) if weights else torch.zeros(4, dtype=torch.double))
        if num_own < num:
            groups += [collate([samples[indices[0]]], self.params.mask, self.bucket)] * (num - num_own)
        return Share(groups, own, num_own, weight)

    def gradients(self, share: Share, step: int) -> Loss:
        """Add a step's gradients to the weights', and return its loss, the same on all processes."""
        totals = self._zeros()
        for number, parts in enumerate(share.forwards):
            if self.params.dropout:
                self._seed(step, number)
            total, sums = self._forward(share, number, parts)
            total.backward()
            totals += sums
        return self._reduced(totals)

    @torch.no_grad()
    def measured(self, share: Share) -> Loss:
        """Return the loss alone."""
        totals = self._zeros()
        for number, parts in enumerate(share.forwards):
            totals += self._forward(share, number, parts)[1]
        release(self.model)
        return self._reduced(totals)

    def _zeros(self) -> Tensor:
        return torch.zeros(12, dtype=torch.double, device=self.device)

    def _forward(self, share: Share, number: int, parts: list[Batch]) -> tuple[Tensor, Tensor]:
        """Return the differentiable loss of a forward, and what adds up: it and the sums of its answers [12]."""
        parts = [part.to(self.device) for part in parts]
        answers = self.loss.answers([part.targets for part in parts], share.weight)
        is_own = number < share.num_own
        if not is_own:
            answers = answers.weightless()
        total, errors, z = self.model(*(part.part for part in parts), answer=answers)
        sums = torch.cat([total.detach().double()[None], answers.sums(errors, z)])
        return total, sums if is_own else torch.zeros_like(sums)

    def _reduced(self, totals: Tensor) -> Loss:
        totals = self.ranks.summed(totals)
        return Loss.of(totals[0].float(), totals[1:])

    def _seed(self, step: int, number: int) -> None:
        """Let what is dropped follow from seed, step, process and forward alone, so that a resumed training drops the same."""
        place = [self.ranks.rank, number] if self.ranks.rank or number else []
        torch.manual_seed(int(np.random.SeedSequence([self.params.seed, step, *place]).generate_state(1)[0]))
