"""Sizes of the transformer."""

from dataclasses import dataclass

from worldvla.params.train import TrainParams


@dataclass(frozen=True)
class ChameleonConfig:
    """Sizes of the transformer. Chameleon 7 B has 65,536 tokens, width 4096, 32 layers and heads, and 11,008 in its MLPs."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    eps: float = 1e-5
    rope_theta: float = 10_000.0
    # Size (RMS) of the waves that tell an embedding its position; Chameleon has rotary positions alone.
    position_rms: float = 0.0

    @classmethod
    def of(cls, vocab_size: int, params: TrainParams) -> "ChameleonConfig":
        """Return the sizes that a training asks for."""
        return cls(
            vocab_size,
            params.hidden_size,
            params.num_layers,
            params.num_heads,
            params.intermediate_size,
            position_rms=params.position_rms,
        )

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden_size // self.num_heads
