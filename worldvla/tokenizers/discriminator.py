"""The adversary of the VQ-GAN: it tells patches of real images from patches of reconstructions."""

from torch import Tensor, nn
from torch.nn import functional as F


class PatchDiscriminator(nn.Sequential):
    """Images [N, 3, side, side] -> one score per overlapping patch [N, 1, side/8, side/8], high for real.

    Group normalisation with one group, where the original has batch normalisation: batches are small here.

    Source: Isola et al., arXiv 1611.07004 (PatchGAN), as used by Esser et al., arXiv 2012.09841.
    """

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for factor in (1, 2):
            layers += [
                nn.Conv2d(channels * factor, channels * factor * 2, 4, stride=2, padding=1),
                nn.GroupNorm(1, channels * factor * 2),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers, nn.Conv2d(channels * 4, 1, 3, padding=1))


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's loss: zero once real scores exceed 1 and fake ones fall below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
