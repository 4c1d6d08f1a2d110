"""Muon (Jordan et al., 2024), torch's own but for the iteration: four steps in fp32 here, five in bf16 there.

Without products of bf16 in hardware, as most CPUs are, torch's takes two fifths of a training step of the small scale; and its
rounding is larger than what the order of a sum changes, so that several processes leave one process's weights behind.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

# Of x, x^3 and x^5 in every iteration. Together they bring singular values between a thousandth and one nearest to one
# (Polar Express, arXiv 2505.16932: its first four); of a matrix divided by `SAFE`, so that rounding makes none diverge.
SAFE = 1.01
POLYNOMIALS = [
    (linear / SAFE, cubic / SAFE**3, fifth / SAFE**5)
    for linear, cubic, fifth in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    )
]
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
                update = _orthogonal(weight.grad.lerp(momentum, group["momentum"]))
                rate = group["lr"] * math.sqrt(max(1, weight.shape[0] / weight.shape[1]))
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def _orthogonal(update: Tensor) -> Tensor:
    """Return ``orthogonal``, of a matrix whose rows are spread over processes as one that is spread alike."""
    if not isinstance(update, DTensor):
        return orthogonal(update)
    # All of it in every process: it is exchanged once, not in every product.
    mesh = update.device_mesh
    whole = DTensor.from_local(orthogonal(update.full_tensor()), mesh, [Replicate()] * mesh.ndim, run_check=False)
    return whole.redistribute(mesh, update.placements)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix whose singular values are one.

    Theirs lie between 0.44 and 1.56 where they were more than a thousandth of the matrix's norm.

    Args:
        matrix: [out, in].
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=EPS)
    # Where one side is much the longer, it takes part in two products instead of two per iteration.
    x = _whole_factor(x @ x.T) @ x if x.shape[1] > 2 * x.shape[0] else _iterated(x)
    return x.T if tall else x


def _iterated(x: Tensor) -> Tensor:
    """Return x [short, long] behind all iterations."""
    for coefficients in POLYNOMIALS:
        x = _factor(x @ x.T, *coefficients) @ x
    return x


def _whole_factor(gram: Tensor) -> Tensor:
    """Return what the iterations multiply a matrix by, from its product with itself [short, short].

    The factor of each is symmetric and commutes with that product, which therefore says what the next product is.
    """
    whole = factor = _factor(gram, *POLYNOMIALS[0])
    for coefficients in POLYNOMIALS[1:]:
        gram = factor @ gram @ factor
        factor = _factor(gram, *coefficients)
        whole = factor @ whole
    return whole


def _factor(gram: Tensor, linear: float, cubic: float, fifth: float) -> Tensor:
    factor = torch.addmm(gram, gram, gram, beta=cubic, alpha=fifth)
    factor.diagonal().add_(linear)
    return factor
