"""Small random transformers."""

import torch

from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig

SIZES = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "intermediate_size": 64}


def small(vocab_size: int, seed: int = 0, scale: float = 1.0, position_rms: float = 0.0, **sizes: int) -> Chameleon:
    """Return a model whose every weight is drawn, those of its norms too."""
    model = Chameleon(ChameleonConfig(vocab_size, **SIZES | sizes, position_rms=position_rms)).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if "norm" in name:
                parameter.copy_((0.0 if name.endswith("bias") else 1.0) + 0.2 * noise)
            else:
                parameter.copy_(scale * 0.05 * noise)
    return model


def sharp(vocab_size: int, seed: int = 0, position_rms: float = 0.0, **sizes: int) -> Chameleon:
    """Return a model that, in different contexts, chooses different tokens."""
    return small(vocab_size, seed, scale=4.0, position_rms=position_rms, **sizes)
