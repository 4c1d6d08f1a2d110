"""What an image costs the product's own VQ-GAN, counted on a network without memory."""

import functools
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig


@dataclass(frozen=True)
class ImageCost:
    """Of the product's own VQ-GAN: FLOPs to encode and to decode an image, weights, and bytes that a training keeps of an image."""

    encoding: float
    decoding: float
    weights: int
    kept: int


@functools.cache
def image_cost(sizes: VQGANConfig, pixels: int) -> ImageCost:
    """Return what an image tokenizer costs, counted on a network without memory."""
    storages: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model, image = VQGAN(sizes), torch.zeros(1, 3, pixels, pixels)
        with FlopCounterMode(display=False) as encoding:
            latent = model.quant_conv(model.encoder(image))
        with FlopCounterMode(display=False) as decoding:
            decoded = model.decoder(model.post_quant_conv(latent))
    weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept = sum(tensor.untyped_storage().nbytes() for key, tensor in storages.items() if key not in weights)
    del decoded  # what it remembers is alive up to here, so that no storage is counted twice
    num_weights = sum(weight.numel() for weight in model.parameters())
    return ImageCost(encoding.get_total_flops(), decoding.get_total_flops(), num_weights, kept)
