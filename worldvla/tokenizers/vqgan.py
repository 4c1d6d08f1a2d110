"""The VQ-GAN: a convolutional encoder, a codebook and a convolutional decoder.

The layers and the state-dict names are those of Chameleon's tokenizer (a VQModel of taming-transformers), so that its
published weights load: ``encoder.* quant_conv.* quantize.embedding.weight post_quant_conv.* decoder.*``. Two numbers
are free here and fixed there: the groups of every GroupNorm (32 there), so that narrow models work, and ``patch`` (1
there), so that small models need not work at full resolution.

Shapes: images float [N, 3, side, side] in [-1, 1]; latents float [N, code_dim, side/16, side/16]; codes int64 [N, n]
with n = (side/16)^2, row by row.

Source: Esser et al., arXiv 2012.09841; Gafni et al., arXiv 2203.13131; Chameleon, arXiv 2405.09818.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class VQGANConfig:
    """The sizes of a VQ-GAN; the defaults are those of the published Chameleon tokenizer."""

    # entries of the codebook
    num_codes: int = 8192
    # numbers per entry, and channels of the latent image
    code_dim: int = 256
    # channels at the first resolution
    base_channels: int = 128
    # channels at each resolution, in units of base_channels; every further resolution halves the side
    channel_multiplier: tuple[int, ...] = (1, 1, 2, 2, 4)
    # residual blocks per resolution in the encoder; the decoder has one more
    num_res_blocks: int = 2
    # groups of every GroupNorm
    norm_groups: int = 32
    # side of the pixel squares that are folded into channels before the first layer; 1 in the published tokenizer
    patch: int = 1

    @property
    def compression(self) -> int:
        """Pixels per code, along one side."""
        return self.patch * 2 ** (len(self.channel_multiplier) - 1)


def _group_norm(channels: int, config: VQGANConfig) -> nn.GroupNorm:
    return nn.GroupNorm(config.norm_groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    """Two normalised 3x3 convolutions around a shortcut: [N, inputs, h, w] -> [N, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int, config: VQGANConfig) -> None:
        super().__init__()
        self.norm1 = _group_norm(inputs, config)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = _group_norm(outputs, config)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + hidden


class Attention(nn.Module):
    """Single-head self-attention over the positions of [N, channels, h, w]."""

    def __init__(self, channels: int, config: VQGANConfig) -> None:
        super().__init__()
        self.norm = _group_norm(channels, config)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus what it attends to."""
        hidden = self.norm(x)
        query, key, value = (layer(hidden).flatten(2) for layer in (self.q, self.k, self.v))  # each [N, channels, h*w]
        weights = torch.softmax(query.transpose(1, 2) @ key * query.shape[1] ** -0.5, dim=2)
        attended = (value @ weights.transpose(1, 2).to(value.dtype)).view(x.shape)
        return x + self.proj_out(attended)


class Middle(nn.Module):
    """Block, attention, block at the lowest resolution."""

    def __init__(self, channels: int, config: VQGANConfig) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels, config)
        self.attn_1 = Attention(channels, config)
        self.block_2 = ResBlock(channels, channels, config)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Halve the side: a 3x3 convolution of stride 2, padded on the right and the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels, h/2, w/2]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the side: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels, 2h, 2w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks of one resolution, then (all but the last level) a change of resolution named ``resample``."""

    def __init__(self, inputs: int, outputs: int, num_blocks: int, resample: str | None, config: VQGANConfig) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(inputs if i == 0 else outputs, outputs, config) for i in range(num_blocks))
        self.resample = resample
        if resample is not None:
            self.add_module(resample, Downsample(outputs) if resample == "downsample" else Upsample(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of the next resolution."""
        for block in self.block:
            x = block(x)
        return x if self.resample is None else self.get_submodule(self.resample)(x)


class Encoder(nn.Module):
    """Images [N, 3, side, side] -> features [N, code_dim, side/16, side/16]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.base_channels * factor for factor in config.channel_multiplier]
        self.conv_in = nn.Conv2d(3 * config.patch**2, config.base_channels, 3, padding=1)
        self.down = nn.ModuleList()
        inputs = config.base_channels
        for level, outputs in enumerate(widths):
            resample = None if level == len(widths) - 1 else "downsample"
            self.down.append(Level(inputs, outputs, config.num_res_blocks, resample, config))
            inputs = outputs
        self.mid = Middle(inputs, config)
        self.norm_out = _group_norm(inputs, config)
        self.conv_out = nn.Conv2d(inputs, config.code_dim, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features before ``quant_conv``."""
        hidden = self.conv_in(F.pixel_unshuffle(images, self.patch) if self.patch > 1 else images)
        for level in self.down:
            hidden = level(hidden)
        return self.conv_out(F.silu(self.norm_out(self.mid(hidden))))


class Decoder(nn.Module):
    """Features [N, code_dim, side/16, side/16] -> images [N, 3, side, side]; level 0 is the highest resolution."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.base_channels * factor for factor in config.channel_multiplier]
        inputs = widths[-1]
        self.conv_in = nn.Conv2d(config.code_dim, inputs, 3, padding=1)
        self.mid = Middle(inputs, config)
        levels = []
        for level, outputs in reversed(list(enumerate(widths))):
            resample = None if level == 0 else "upsample"
            levels.append(Level(inputs, outputs, config.num_res_blocks + 1, resample, config))
            inputs = outputs
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = _group_norm(inputs, config)
        self.conv_out = nn.Conv2d(inputs, 3 * config.patch**2, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return images; values may leave [-1, 1] a little."""
        hidden = self.mid(self.conv_in(features))
        for level in reversed(self.up):
            hidden = level(hidden)
        pixels = self.conv_out(F.silu(self.norm_out(hidden)))
        return F.pixel_shuffle(pixels, self.patch) if self.patch > 1 else pixels


class Quantizer(nn.Module):
    """The codebook, and the nearest entry of each latent vector."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.num_codes, config.code_dim)

    def codes(self, vectors: Tensor) -> Tensor:
        """Return the index of the nearest entry of each vector: float [m, code_dim] -> int64 [m]."""
        book = self.embedding.weight
        distances = vectors.square().sum(1, keepdim=True) + book.square().sum(1) - 2 * vectors @ book.t()
        return distances.argmin(1)


class VQGAN(nn.Module):
    """Encoder, codebook and decoder."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(config.code_dim, config.code_dim, 1)
        self.quantize = Quantizer(config)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.code_dim, 1)
        self.decoder = Decoder(config)

    def latents(self, images: Tensor) -> Tensor:
        """Return what is quantized: float [N, code_dim, side/16, side/16]."""
        return self.quant_conv(self.encoder(images))

    def codes(self, images: Tensor) -> Tensor:
        """Return the codes of images, row by row: int64 [N, n]."""
        vectors = self.latents(images).permute(0, 2, 3, 1)
        return self.quantize.codes(vectors.reshape(-1, vectors.shape[-1])).view(len(images), -1)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Return the images of quantized latents: [N, code_dim, h, w] -> float [N, 3, side, side]."""
        return self.decoder(self.post_quant_conv(latents))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images of codes, int64 [N, n] of a square grid -> float [N, 3, side, side]."""
        side = math.isqrt(codes.shape[1])
        latents = self.quantize.embedding(codes).view(len(codes), side, side, -1).permute(0, 3, 1, 2)
        return self.decode_latents(latents.contiguous(memory_format=torch.channels_last))
