"""Perceptual distance between images: features of a VGG-16 trained on ImageNet, whose weights the user provides."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from worldvla.torch_files import read_torch

# Layers of torchvision's vgg16().features after which the activations are compared: relu1_2, 2_2, 3_3, 4_3, 5_3.
LAYERS = (3, 8, 15, 22, 29)
# Statistics of ImageNet, per channel of RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class PerceptualLoss(nn.Module):
    """Mean squared difference of channel-normalised VGG-16 features, summed over five layers.

    Source: Zhang et al., arXiv 1801.03924, with equal weights for all channels instead of the learned ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.features = make_layers(cfgs["D"])  # VGG-16
        self.features.load_state_dict(_read(weights, self.features))
        self.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distance of two batches [N, 3, side, side] in [-1, 1], a scalar."""
        hidden = torch.cat([((batch + 1) / 2 - self.mean) / self.std for batch in (images, others)])
        distance = images.new_zeros(())
        for number, layer in enumerate(self.features):
            hidden = layer(hidden)
            if number in LAYERS:
                left, right = F.normalize(hidden.float(), dim=1).chunk(2)
                distance = distance + (left - right).square().sum(1).mean()
        return distance


def _read(path: Path, features: nn.Module) -> dict[str, Tensor]:
    """Return the convolutions' weights of torchvision's vgg16 checkpoint.

    Raises:
        ValueError: the file is missing, is no checkpoint, or is one of another model.
    """
    expected = "expected torchvision's vgg16 weights; name them in tokenizer.perceptual_weights, or leave that empty"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {expected}")
    content = read_torch(path, expected)
    state = content if isinstance(content, dict) else {}
    found = {}
    for name, value in features.state_dict().items():
        weight = state.get(f"features.{name}")
        if not isinstance(weight, Tensor) or weight.shape != value.shape:
            raise ValueError(f"{path}: 'features.{name}' of shape {tuple(value.shape)} is not in it; {expected}")
        found[name] = weight
    return found
