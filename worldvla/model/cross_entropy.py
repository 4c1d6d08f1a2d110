"""Cross-entropy of a large vocabulary in blocks: logits, and their gradients, exist for some tokens at a time.

At once they take 12 bytes per token and entry of the vocabulary: 0.8 GB for one image of 512 px.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# Logits at a time: a core's cache holds them, or a share of a GPU's memory that is not missed.
BLOCK = {"cpu": 2**18, "cuda": 2**26}


def block_size(vocabulary: int, device: torch.device) -> int:
    """Return the tokens of a block."""
    return max(1, BLOCK[device.type] // vocabulary)


def cross_entropy(
    hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, z_weight: float, num_answered: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, every token's cross-entropy, and the mean squared log-partition.

    The loss is the weighted sum of the cross-entropies, plus ``z_weight`` times the mean squared log-partition; it alone is
    differentiable. The same as torch's own loss of all logits, to rounding.

    Args:
        hidden: [tokens, width].
        head: weight of the head [vocabulary, width].
        targets: the right token [tokens].
        weights: of each token's cross-entropy [tokens].
        z_weight: of the mean squared log-partition.
        num_answered: by how many the sum of those squares is divided, where these tokens are a part of more; all of these
            if absent.
    """
    count = num_answered or len(targets)
    return _InBlocks.apply(hidden, head, targets, weights, z_weight, count, torch.is_grad_enabled())


class _InBlocks(Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        weights: Tensor,
        z_weight: float,
        num_answered: int,
        train: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = head.to(hidden.dtype)
        errors = torch.empty_like(weights)
        partitions = torch.empty_like(weights)
        to_hidden = torch.empty_like(hidden if train else hidden[:0])
        to_head = torch.zeros_like(head if train else head[:0], dtype=torch.float32)
        for start in range(0, len(targets), block_size(len(head), hidden.device)):
            block = slice(start, start + block_size(len(head), hidden.device))
            partitions[block], errors[block], gradients = _one_block(
                hidden[block], rows, targets[block, None], weights[block, None], 2 * z_weight / num_answered, train
            )
            if gradients:
                to_hidden[block] = gradients[0]
                to_head += gradients[1]
        z = partitions.square().sum() / num_answered
        ctx.save_for_backward(to_hidden, to_head)
        ctx.dtype = head.dtype
        ctx.mark_non_differentiable(errors, z)
        return (weights * errors).sum() + z_weight * z, errors, z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_head = ctx.saved_tensors
        return gradients[0] * to_hidden, (gradients[0] * to_head).to(ctx.dtype), None, None, None, None, None


def _one_block(
    hidden: Tensor, rows: Tensor, targets: Tensor, weights: Tensor, z_factor: float, train: bool
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
    """Return a block's log-partitions and cross-entropies [tokens], and what it adds to the gradients."""
    logits = (hidden @ rows.t()).float()
    partitions = logits.logsumexp(dim=-1, keepdim=True)
    errors = partitions - logits.gather(1, targets)
    if not train:
        return partitions[:, 0], errors[:, 0], None
    probabilities = logits.sub_(partitions).exp_()
    to_logits = probabilities.mul_(weights + z_factor * partitions).scatter_add_(1, targets, -weights)
    to_logits = to_logits.to(hidden.dtype)
    return partitions[:, 0], errors[:, 0], (to_logits @ rows, to_logits.t() @ hidden)
