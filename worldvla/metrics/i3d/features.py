"""Clips as features: what the Frechet distance compares, under a name that says which network made them.

Shapes: N clips, T frames, H x W pixels, upright RGB.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worldvla.metrics.i3d.network import I3D, NUM_CLASSES
from worldvla.metrics.i3d.weights import COUNTER, load_weights

FVD_PIXELS = 224  # the side of the frames that the published network takes


@dataclass(frozen=True)
class Extractor:
    """A network for features, and how reports name it."""

    network: I3D
    label: str  # of a distance between its features; "FVD" only for the verified weights
    pixels: int  # the side of the frames that the network sees
    digest: str  # sha256 of the weights, in hex: the same whichever file they came from

    @torch.inference_mode()
    def features(self, clips: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the logits of clips: uint8 [N, T, H, W, 3] -> float64 [N, 400].

        Clips are passed one at a time, so a clip's features do not depend on its neighbours. Frames are resized once,
        here: bilinear, without antialiasing, on half-pixel centres, as the release's scorer and most ports do. The
        original's grid is that of TensorFlow 1; from 256 to 224 pixels the frames of either are 48 dB apart.

        Raises:
            ValueError: clips of another shape or type or of fewer than 9 frames, or a feature that is not finite.
        """
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8:
            raise ValueError(f"I3D: got clips {clips.dtype} {list(clips.shape)}, expected uint8 [N, T, H, W, 3]")
        device = next(self.network.parameters()).device
        features = np.empty((len(clips), NUM_CLASSES))
        # Rounded to TF32, as a GPU does by default, the logits would be others. enabled: left out, cuDNN is switched off.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, deterministic=True):
            for row, clip in enumerate(clips):
                features[row] = self.network(to_input(clip, self.pixels).to(device))[0].cpu().numpy()
                if not np.isfinite(features[row]).all():
                    raise ValueError(f"I3D: clip {row} of {len(clips)} has a feature that is not finite ({self.label})")
        return features


def verified(path: Path) -> Extractor:
    """Return the extractor of FVD, from a file of its weights.

    Raises:
        ValueError: the file does not hold the weights that FVD is defined on.
    """
    network = _empty()
    network.load_state_dict(load_weights(path))
    return _extractor(network, "FVD", FVD_PIXELS)


def random(seed: int, pixels: int, calibration: NDArray[np.uint8]) -> Extractor:
    """Return a substitute that needs no weights: I3D with random kernels, for the plumbing and for coarse differences.

    Its distances see noise best and motion worst, and share no axis with FVD. Kernels are drawn as He et al. do; then
    BatchNorm's statistics are set, layer by layer, to those of the calibration clips.

    Args:
        seed: of the kernels.
        pixels: side of the frames that the network sees; small ones are faster.
        calibration: clips uint8 [N, T, H, W, 3] that no distance is computed on. They go through the network together.

    Raises:
        ValueError: a calibration clip has fewer than 9 frames.
    """
    network = _empty().eval()
    generator = torch.Generator().manual_seed(seed)
    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            module.reset_parameters()
            hooks.append(module.register_forward_pre_hook(_calibrate))
    with torch.no_grad():
        network(torch.cat([to_input(clip, pixels) for clip in calibration]))
    for hook in hooks:
        hook.remove()
    return _extractor(network, f"FD[i3d-random seed{seed} {pixels}px]", pixels)


def to_input(clip: NDArray[np.uint8], pixels: int) -> Tensor:
    """Return a clip as I3D takes it: uint8 [T, H, W, 3] -> float [1, 3, T, pixels, pixels] in [-1, 1]."""
    frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).float()
    frames = F.interpolate(frames, (pixels, pixels), mode="bilinear", align_corners=False, antialias=False)
    return (frames / 255 * 2 - 1).transpose(0, 1)[None].contiguous()


def _calibrate(norm: nn.BatchNorm3d, args: tuple[Tensor]) -> None:
    """Set a BatchNorm's statistics to those of its input, before it normalises.

    Train mode would keep the unbiased variance and normalise with the biased one. Deep layers see few cells of small
    clips, so that the two differ, and the means of the layers behind with them.
    """
    variance, mean = torch.var_mean(args[0], (0, 2, 3, 4), correction=0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _empty() -> I3D:
    """Return a network without values, and without a draw from torch's global generator."""
    with torch.device("meta"):
        network = I3D()
    return network.to_empty(device="cpu")


def _extractor(network: I3D, label: str, pixels: int) -> Extractor:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if not name.endswith(COUNTER):
            digest.update(f"{name} {list(value.shape)}\n".encode())
            digest.update(value.numpy().astype("<f4").tobytes())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Extractor(network.eval().requires_grad_(False).to(device), label, pixels, digest.hexdigest())
