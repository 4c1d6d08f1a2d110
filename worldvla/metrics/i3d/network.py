"""I3D: Inception-v1 inflated to video, which turns a clip into the 400 logits of Kinetics.

Shapes: N clips, T frames, H x W pixels. A unit is a convolution with BatchNorm and ReLU.
Source: Carreira and Zisserman, arXiv 1705.07750; google-deepmind/kinetics-i3d `i3d.py`. Tensors have the names of
piergiaj/pytorch-i3d and VideoGPT.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_FRAMES = 9  # with fewer, one cell is left in time, and the last pool takes two
NUM_CLASSES = 400
# Channels out of each Mixed block's units: b0, b1a, b1b, b2a, b2b, b3b.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLS = {  # kernel and stride of the pool in front of a layer
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


class I3D(nn.Module):
    """Logits of a clip, averaged over time: the features of the Frechet video distance.

    Args:
        eps: of every BatchNorm. TF-Hub's graph has 1e-3 in all 57; VideoGPT's port, and all that copied it, 1e-5.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit(3, 64, kernel=7, stride=2, eps=eps),
            "Conv3d_2b_1x1": Unit(64, 64, kernel=1, eps=eps),
            "Conv3d_2c_3x3": Unit(64, 192, kernel=3, eps=eps),
        }
        channels = 192
        for name, widths in MIXED.items():
            layers[name] = Mixed(channels, widths, eps)
            channels = sum(widths[i] for i in (0, 2, 4, 5))
        self._layers = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(channels, NUM_CLASSES, 1)})

    def forward(self, clips: Tensor) -> Tensor:
        """Return the mean logits: [N, 3, T, H, W] in [-1, 1] -> [N, 400].

        The last pool takes 2 x 7 x 7 cells, which at 224 pixels is all of space, as published. Of smaller clips, which
        only the random substitute is given, it takes what is left of space.

        Raises:
            ValueError: a clip has fewer than 9 frames.
        """
        if clips.shape[2] < MIN_FRAMES:
            raise ValueError(
                f"I3D: got clips of {clips.shape[2]} frames, expected {MIN_FRAMES} or more; compare longer horizons"
            )
        hidden = clips
        for name in self._layers:
            if name in POOLS:
                kernel, stride = POOLS[name]
                # Zeros pad exactly here: what comes out of a ReLU is nowhere less.
                hidden = F.max_pool3d(pad_same(hidden, kernel, stride), kernel, stride)
            hidden = self.get_submodule(name)(hidden)
        height, width = hidden.shape[-2:]
        hidden = F.avg_pool3d(hidden, (2, min(7, height), min(7, width)), stride=1)
        return self.logits["conv3d"](hidden).mean((2, 3, 4))


class Unit(nn.Module):
    """A convolution with TensorFlow's "SAME" padding, BatchNorm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int, stride: int = 1, eps: float) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels_in, channels_out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels_out, eps=eps)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map [N, channels_in, T, H, W] to [N, channels_out, T/stride, H/stride, W/stride], rounded up."""
        padded = pad_same(hidden, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)), inplace=True)


class Mixed(nn.Module):
    """Four branches side by side, joined by channel."""

    def __init__(self, channels: int, widths: tuple[int, ...], eps: float) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit(channels, b0, kernel=1, eps=eps)
        self.b1a = Unit(channels, b1a, kernel=1, eps=eps)
        self.b1b = Unit(b1a, b1b, kernel=3, eps=eps)
        self.b2a = Unit(channels, b2a, kernel=1, eps=eps)
        self.b2b = Unit(b2a, b2b, kernel=3, eps=eps)
        self.b3b = Unit(channels, b3b, kernel=1, eps=eps)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map [N, channels, T, H, W] to [N, b0 + b1b + b2b + b3b, T, H, W]."""
        pooled = F.max_pool3d(hidden, 3, stride=1, padding=1)
        branches = self.b0(hidden), self.b1b(self.b1a(hidden)), self.b2b(self.b2a(hidden)), self.b3b(pooled)
        return torch.cat(branches, dim=1)


def pad_same(hidden: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Pad T, H and W with zeros as TensorFlow's "SAME" does: an odd total has its larger half behind."""
    padding: list[int] = []
    for size, k, s in zip(hidden.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):  # F.pad starts with W
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(hidden, padding) if any(padding) else hidden
