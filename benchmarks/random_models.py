"""Models with random weights, for benchmarks."""

import torch

from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig


def random_model(
    config: ChameleonConfig, device: str = "cpu", dtype: torch.dtype = torch.float32, std: float = 0.02
) -> Chameleon:
    """Return a model whose weights are drawn, except those of its norms."""
    with torch.device("meta"):
        model = Chameleon(config).to(dtype)
    model.to_empty(device=device).eval()
    random = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(std=std, generator=random)
    return model
