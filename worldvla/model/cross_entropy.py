"""Cross-entropy of a large vocabulary in blocks: logits, and their gradients, exist for some tokens at a time.

At once they take 12 bytes per token and entry of the vocabulary: 0.8 GB for one image of 512 px.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# Logits at a time: a core's cache holds them, or a share of a GPU's memory that is not missed.
BLOCK = {"cpu": 2**18, "cuda": 2**26}


def cross_entropy(
    hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, z_weight: float
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
    """
    return _InBlocks.apply(hidden, head, targets, weights, z_weight, torch.is_grad_enabled())


class _InBlocks(Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, z_weight: float, train: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = head.to(hidden.dtype)
        errors = torch.empty_like(weights)
        partitions = torch.empty_like(weights)
        to_hidden = torch.empty_like(hidden) if train else None
        to_head = torch.zeros_like(head, dtype=torch.float32) if train else None
        size = max(1, BLOCK[hidden.device.type] // len(head))
        for start in range(0, len(targets), size):
            block = slice(start, start + size)
            logits = (hidden[block] @ rows.t()).float()
            partition = logits.logsumexp(dim=-1, keepdim=True)
            target = targets[block, None]
            partitions[block] = partition[:, 0]
            errors[block] = (partition - logits.gather(1, target))[:, 0]
            if to_hidden is not None and to_head is not None:
                weight = weights[block, None]
                to_logits = logits.sub_(partition).exp_()  # the probabilities
                to_logits.mul_(weight + 2 * z_weight / len(targets) * partition).scatter_add_(1, target, -weight)
                to_logits = to_logits.to(hidden.dtype)
                torch.mm(to_logits, rows, out=to_hidden[block])
                to_head += to_logits.t() @ hidden[block]
        z = partitions.square().mean()
        ctx.save_for_backward(to_hidden, to_head)
        ctx.dtype = head.dtype
        ctx.mark_non_differentiable(errors, z)
        return (weights * errors).sum() + z_weight * z, errors, z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_head = ctx.saved_tensors
        return gradients[0] * to_hidden, (gradients[0] * to_head).to(ctx.dtype), None, None, None, None
