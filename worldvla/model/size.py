"""How much a transformer computes and holds, by arithmetic."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from worldvla.model import placement
from worldvla.model.config import ChameleonConfig
from worldvla.sequences import IGNORED, Sample


@dataclass(frozen=True)
class Size:
    """The transformer: weights that multiply every token, those of the head, and all; width and layers."""

    body: int
    head: int
    total: int
    width: int
    layers: int

    @classmethod
    @functools.cache
    def of(cls, config: ChameleonConfig) -> "Size":
        """Return the size of the product's own model, which is built without memory."""
        total, table = placement.num_weights(config), config.vocab_size * config.hidden_size
        return cls(total - 2 * table, table, total, config.hidden_size, config.num_layers)

    def forward(self, tokens: int, answered: int, seen: int | None = None) -> float:
        """Return the FLOPs of a forward pass; attention is counted in full, as a dense mask makes it.

        Args:
            tokens: fed.
            answered: those that the head is applied to.
            seen: keys that each of them may see; the tokens themselves by default.
        """
        attention = 4 * self.layers * self.width * tokens * (seen or tokens)
        return 2 * (self.body * tokens + self.head * answered) + attention

    def training(self, tokens: int, answered: int) -> float:
        """Return the FLOPs of a sample in training: the backward pass counts twice the forward, recomputation nothing."""
        return 3 * self.forward(tokens, answered)

    def cache(self, tokens: int) -> int:
        """Return the bytes of the keys and values of some tokens in bf16."""
        return 2 * 2 * self.layers * self.width * tokens


def activation_bytes(config: ChameleonConfig, tokens: int, dropout: float) -> int:
    """Return the bytes that a training in bf16 keeps of some tokens for the gradients, at most: no layer is computed twice.

    Per token and layer 42 bytes of each channel and 8 of each of the MLP's, and what dropout remembers; a CPU keeps less.
    """
    layer = (42 + (4 if dropout else 0)) * config.hidden_size + 8 * config.intermediate_size
    return tokens * config.num_layers * layer


def work_of(samples: Sequence[Sample], size: Size) -> tuple[int, int, float]:
    """Return the number of samples, of their tokens, and the FLOPs of training on them."""
    counts = [(sample.tokens.size, int((sample.labels != IGNORED).sum())) for sample in samples]
    return len(samples), sum(tokens for tokens, _ in counts), sum(size.training(*count) for count in counts)
