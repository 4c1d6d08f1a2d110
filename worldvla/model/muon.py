"""Muon (Jordan et al., 2024), torch's own but for the type: its iteration is in fp32 here and in bf16 there.

Without products of bf16 in hardware, as most CPUs are, torch's takes two fifths of a training step of the small scale; and its
rounding is larger than what the order of a sum changes, so that several processes leave one process's weights behind.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic; they let small singular values grow fastest
NUM_ITERATIONS = 5
EPS = 1e-7


class Muon(torch.optim.Muon):
    """As `torch.optim.Muon` with its defaults, of matrices with gradients."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients."""
        assert closure is None, "a loss that is asked for again is not needed here"
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(momentum, group["momentum"]))
                rate = group["lr"] * math.sqrt(max(1, weight.shape[0] / weight.shape[1]))
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose singular values are one: theirs lie between 0.7 and 1.2.

    Args:
        matrix: [out, in].
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=EPS)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
