"""LPIPS of predicted frames, one number per frame: 0 for identical frames, larger for frames that look less alike.

The learned weights of its layers (version 0.1) come with the ``lpips`` package; those of the network below them are
ImageNet's, in a file of torchvision that the user provides. Nothing is downloaded.
"""

import warnings
from pathlib import Path
from typing import Literal

import lpips
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldvla.files import file_digest
from worldvla.metrics.frames import check_frames

Net = Literal["vgg", "alex"]
# torchvision's files. Each is named after the first digits of its own sha256.
FILES: dict[Net, str] = {"vgg": "vgg16-397923af.pth", "alex": "alexnet-owt-7be5be79.pth"}
# Frames that pass through the network at once.
BATCH = 8
# Of smaller frames AlexNet's pooling leaves nothing; VGG keeps to the same limit, so that both score the same frames.
SMALLEST_PX = 31


class Lpips:
    """Learned perceptual distance, by features of VGG-16 ("vgg", as upstream reports it) or of AlexNet ("alex").

    Source: Zhang et al., arXiv 1801.03924. RynnVLA-002's scorer, the nearest that upstream published, uses "vgg" and
    prints 100 times this value.
    """

    def __init__(self, net: Net, weights: Path) -> None:
        """Load torchvision's ImageNet weights of ``net``.

        Raises:
            ValueError: the file is missing, is that of the other network, or has not the known sha256.
        """
        _check_file(net, weights)
        # Shapes only ("meta"): else the package draws random weights for all of the network, its classifier included.
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore", UserWarning)  # torchvision's, about a spelling of the package
            self._model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
        heads = Path(lpips.__path__[0], "weights", "v0.1", f"{net}.pth")
        self._model.load_state_dict(_read(heads), strict=False, assign=True)  # the package names each twice
        backbone = _read(weights)
        # slice2.5.weight is features.5.weight: the package cuts torchvision's layers up and keeps their numbers.
        names = {name: f"features.{name.split('.', 1)[1]}" for name in self._model.net.state_dict()}
        self._model.net.load_state_dict({name: backbone[source] for name, source in names.items()}, assign=True)
        assert not any(value.is_meta for value in self._model.state_dict().values())

    @torch.inference_mode()
    def __call__(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the distance of each frame, at least 0, from two clips [T, height, width, 3].

        Raises:
            ValueError: the clips are no frames of bytes, not of the same shape, or too small for the network.
        """
        check_frames(predicted, truth, SMALLEST_PX)
        starts = range(0, len(predicted), BATCH)
        batches = ((_scale(predicted[i : i + BATCH]), _scale(truth[i : i + BATCH])) for i in starts)
        return torch.cat([self._model(*batch).flatten() for batch in batches]).double().numpy()


def _scale(frames: NDArray[np.uint8]) -> Tensor:
    """Return frames as LPIPS wants them, [N, 3, height, width] in [-1, 1]; it accepts [0, 1] too, and is wrong there."""
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1


def _read(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_file(net: Net, path: Path) -> None:
    """Check what a file is before anything opens it."""
    expected = (
        f"expected torchvision's {FILES[net]}: name it in video_metrics.lpips_{net}, or null there,"
        ' which leaves the cell "not computed: weights absent"'
    )
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {expected}")
    digest = file_digest(path)
    found = next((file for file in FILES.values() if digest.startswith(_prefix(file))), None)
    if found is None:
        raise ValueError(
            f"{path}: its sha256 begins with {digest[:8]}, so it is another file or an incomplete one; {expected}"
        )
    if found != FILES[net]:
        raise ValueError(f"{path}: holds the weights of {found}; {expected}")


def _prefix(file: str) -> str:
    """Return the digits of the sha256 in torchvision's name of a file."""
    return Path(file).stem.rsplit("-", 1)[1]
