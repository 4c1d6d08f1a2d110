"""The codebook of a VQ-GAN in training: moving averages of the latent vectors that each entry attracts."""

import torch
from torch import Tensor
from torch.nn import functional as F

DECAY = 0.98  # of the moving averages, per step: an entry follows the vectors of the last 50 steps
# An entry that attracts fewer vectors per step than this (moving average) is dead: it restarts at a vector of the batch.
DEAD = 0.03
# Weight of a restarted entry: ten times DEAD, so that it has some time to attract vectors of its own.
RESTARTED = 0.3


class MovingCodebook:
    """Keeps the entries of ``embedding`` at the mean of what they attract, in place.

    The published tokenizer learned its codebook by gradient; only the entries are kept in weights, so both load alike.
    Moving averages need no learning rate and use nearly the whole codebook within a short run.

    Source: van den Oord et al., arXiv 1711.00937, appendix A.1; restarts: Jukebox, arXiv 2005.00341, section 3.1.
    """

    def __init__(self, embedding: Tensor) -> None:
        self._embedding = embedding.requires_grad_(False)  # [num_codes, code_dim]
        self._counts = torch.ones(len(embedding), device=embedding.device)  # vectors per step
        self._sums = embedding.clone()  # their sum

    @torch.no_grad()
    def start(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Place the entries at vectors [m, code_dim] drawn from a batch; more entries than vectors stay apart by noise."""
        noise = torch.randn(self._embedding.shape, generator=generator).to(vectors)
        self._embedding.copy_(_draw(vectors, len(self._embedding), generator) + 0.01 * vectors.std() * noise)
        self._sums.copy_(self._embedding)
        self._counts.fill_(1.0)

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor, generator: torch.Generator, restart: bool) -> None:
        """Move the entries towards vectors [m, code_dim] and their nearest entries' codes [m]; restart dead ones."""
        # A product with one-hot rows, not index_add_: that one has no fixed order of summation on a GPU.
        chosen = F.one_hot(codes, len(self._embedding)).to(vectors.dtype)
        self._counts.lerp_(chosen.sum(0), 1 - DECAY)
        self._sums.lerp_(chosen.t() @ vectors, 1 - DECAY)
        self._embedding.copy_(self._sums / self._counts.clamp(min=1e-6)[:, None])
        dead = torch.nonzero(self._counts < DEAD)[:, 0]
        if restart and len(dead):
            self._embedding[dead] = _draw(vectors, len(dead), generator)
            self._counts[dead] = RESTARTED
            self._sums[dead] = self._embedding[dead] * RESTARTED

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moving averages; the entries are part of the model."""
        return {"counts": self._counts, "sums": self._sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the moving averages."""
        self._counts.copy_(state["counts"])
        self._sums.copy_(state["sums"])


def _draw(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return vectors chosen at random, with replacement: [m, code_dim] -> [count, code_dim]."""
    return vectors[torch.randint(len(vectors), (count,), generator=generator).to(vectors.device)]
