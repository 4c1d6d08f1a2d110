"""Images as codes: the trained VQ-GAN behind arrays."""

import dataclasses
import functools
import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save, save_file
from torch import Tensor, nn

from worldvla.disk_errors import disk_errors
from worldvla.files import write_json
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.tokenizers.weights import load_weights

BATCH = 32  # images per pass; one of 8 MB of activations per layer stays in a core's cache
REMEDY = "Run: dvc repro tokenizer"

Model = TypeVar("Model", bound=nn.Module)


class ImageTokenizer:
    """Upright RGB images of one size to codes and back, always in fp32: bf16 changes one code in ten.

    A tokenizer's folder holds ``vqgan/config.json`` (sizes, ``pixels``, ``published``, ``tf32``) and
    ``vqgan/model.safetensors``.
    """

    def __init__(self, model: VQGAN, pixels: int, *, published: str | None = None, tf32: bool = False) -> None:
        """Wrap a model.

        Args:
            model: the VQ-GAN.
            pixels: side of the images.
            published: sha256 of the published file that the weights were converted from; None: they are our own.
            tf32: whether a GPU rounds the inputs of convolutions to TF32, as the release leaves it to torch's default.
        """
        if pixels % model.config.compression:
            raise ValueError(f"image tokenizer: {pixels} pixels are not a multiple of {model.config.compression}")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = channels_last(model.to(self._device, torch.float32)).eval()
        self.pixels, self.published, self.tf32 = pixels, published, tf32

    @classmethod
    def load(cls, folder: Path) -> "ImageTokenizer":
        """Read a tokenizer's folder.

        Raises:
            ValueError: a file is missing or damaged, or the weights do not fit the sizes.
        """
        path = folder / "vqgan" / "config.json"
        try:
            sizes = json.loads(path.read_text(encoding="utf-8"))
            given = {name: sizes.pop(name) for name in ("pixels", "published", "tf32")}
            config = VQGANConfig(**sizes | {"channel_multiplier": tuple(sizes["channel_multiplier"])})
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; expected an image tokenizer. {REMEDY}") from None
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{path}: not the sizes of an image tokenizer. {REMEDY}") from None
        model = VQGAN(config)
        load_weights(model, folder / "vqgan")
        return cls(model, **given)

    def save(self, folder: Path) -> None:
        """Write ``vqgan/`` into a folder."""
        (folder / "vqgan").mkdir(parents=True, exist_ok=True)
        given = {"pixels": self.pixels, "published": self.published, "tf32": self.tf32}
        write_json(folder / "vqgan" / "config.json", dataclasses.asdict(self._model.config) | given)
        with disk_errors():
            save_file(self._state(), folder / "vqgan" / "model.safetensors")

    def _state(self) -> dict[str, Tensor]:
        return {name: value.contiguous().cpu() for name, value in self._model.state_dict().items()}

    @functools.cached_property
    def digest(self) -> str:
        """Which tokenizer this is: the sha256 of the published file, of one of our own that of its ``model.safetensors``.

        The size of the images is no part of it, nor is how they are rounded.
        """
        return self.published or hashlib.sha256(save(self._state())).hexdigest()

    @property
    def num_codes(self) -> int:
        """Number of different codes."""
        return self._model.config.num_codes

    @property
    def codes_per_image(self) -> int:
        """Number of codes of an image."""
        return (self.pixels // self._model.config.compression) ** 2

    @property
    def codebook(self) -> NDArray[np.float32]:
        """The vector of each code: [num_codes, code_dim]."""
        return self._model.quantize.embedding.weight.detach().cpu().numpy().copy()

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return the codes of upright RGB images, row by row.

        Args:
            frames: uint8 [N, pixels, pixels, 3].

        Returns:
            uint16 [N, (pixels/16)^2] in [0, num_codes).

        Raises:
            ValueError: frames of another shape or type.
        """
        expected = (self.pixels, self.pixels, 3)
        if frames.ndim != 4 or frames.shape[1:] != expected or frames.dtype != np.uint8:
            shape = ", ".join(str(size) for size in ("N", *expected))
            raise ValueError(
                f"image tokenizer: got frames {frames.dtype} {list(frames.shape)}, expected uint8 [{shape}]"
            )
        codes = np.empty((len(frames), self.codes_per_image), np.uint16)
        with self._arithmetic():
            for start in range(0, len(frames), BATCH):
                images = to_images(frames[start : start + BATCH], self._device)
                codes[start : start + BATCH] = self._model.codes(images).cpu().numpy()
        return codes

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the images of codes: integers [N, (pixels/16)^2] -> uint8 [N, pixels, pixels, 3].

        Raises:
            ValueError: codes of another shape or type, or out of range.
        """
        if codes.ndim != 2 or codes.shape[1] != self.codes_per_image or not np.issubdtype(codes.dtype, np.integer):
            got = f"{codes.dtype} {list(codes.shape)}"
            raise ValueError(f"image tokenizer: got codes {got}, expected integers [N, {self.codes_per_image}]")
        if codes.size and not 0 <= codes.min() <= codes.max() < self.num_codes:
            wrong = next(int(code) for code in codes.flat if not 0 <= code < self.num_codes)
            raise ValueError(f"image tokenizer: code {wrong} is outside [0, {self.num_codes})")
        frames = np.empty((len(codes), self.pixels, self.pixels, 3), np.uint8)
        with self._arithmetic():
            for start in range(0, len(codes), BATCH):
                batch = torch.from_numpy(codes[start : start + BATCH].astype(np.int64)).to(self._device)
                frames[start : start + BATCH] = to_frames(self._model.decode(batch))
        return frames

    def _arithmetic(self) -> AbstractContextManager[None]:
        """Return the context of a pass. Rounded to TF32, as a GPU does by default, convolutions give other codes."""
        # enabled: left out, it is False, and the flags would be of a cuDNN that is switched off.
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=self.tf32, deterministic=True)


def channels_last(model: Model) -> Model:
    """Return the same model with its convolutions' weights laid out as convolutions are fastest."""
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def to_images(frames: NDArray[np.uint8], device: str) -> Tensor:
    """Return uint8 frames [N, side, side, 3] as the model takes them: float [N, 3, side, side] in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return (pixels.float() / 255 * 2 - 1).permute(0, 3, 1, 2)  # channels_last in memory


def to_frames(images: Tensor) -> NDArray[np.uint8]:
    """Return float images [N, 3, side, side] as uint8 frames [N, side, side, 3]; clipped, and truncated as upstream."""
    pixels = (images.clamp(-1, 1) + 1) / 2 * 255
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
