"""Muon's iteration on the matrices of a layer against torch's own, in its type and in fp32, side by side on one thread.

    python -m benchmarks.muon

CPU time of one step of a model at `mini`, and how far the singular values that were more than a thousandth of the norm end up
from one. The matrices are random: the time does not depend on them.
"""

import time

import torch
from torch import Tensor

from benchmarks.training import MINI
from worldvla.model.chameleon import Chameleon
from worldvla.model.muon import orthogonal

ROUNDS = 40
COEFFICIENTS, ITERATIONS, EPS = (3.4445, -4.775, 2.0315), 5, 1e-7  # torch.optim.Muon's defaults


def torchs(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Return torch's iteration, written out, as it has no public name."""
    linear, cubic, fifth = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=EPS)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=cubic, alpha=fifth), x, beta=linear)
    return x.T if tall else x


def off(matrix: Tensor, found: Tensor) -> float:
    """Return the root mean square of what the singular values are off one."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    stretch = (left.T @ found.float() @ right.T).diagonal()[values > 1e-3 * values.norm()]
    return (stretch - 1).square().mean().sqrt().item()


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Chameleon(MINI)
    matrices = [torch.randn_like(weight) for name, weight in model.named_parameters() if name.endswith("_proj.weight")]
    ways = {
        "ours": orthogonal,
        "torch's, fp32": lambda matrix: torchs(matrix, torch.float32),
        "torch's, bf16": lambda matrix: torchs(matrix, torch.bfloat16),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, iterate in ways.items():
            begin = time.process_time()
            for matrix in matrices:
                iterate(matrix)
            times[way].append(time.process_time() - begin)
    ours = min(times["ours"])
    for way, iterate in ways.items():
        distance = sum(off(matrix, iterate(matrix)) for matrix in matrices) / len(matrices)
        print(
            f"{way:14} {min(times[way]) * 1e3:6.1f} ms per step {min(times[way]) / ours:5.2f} off one {distance:5.2f}"
        )


if __name__ == "__main__":
    main()
