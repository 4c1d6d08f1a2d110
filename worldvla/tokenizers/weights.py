"""Weights of a VQ-GAN from files: ours, or the published tokenizer's."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from worldvla.tokenizers.vqgan import VQGAN
from worldvla.tokenizers.weights_file import weights_file
from worldvla.torch_files import read_torch


def load_weights(model: VQGAN, path: Path) -> Path:
    """Fill a model from a file, or from the ``model.safetensors`` or ``vqgan.ckpt`` of a folder; return which file.

    A checkpoint of a training (the published ``vqgan.ckpt``) may hold its losses' weights (``loss.*``) as well, which
    are left out.

    Raises:
        ValueError: no such file, not a file of weights, or weights of a model of another shape.
    """
    file = weights_file(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file; expected the weights of an image tokenizer")
    state = {name: value for name, value in _read(file).items() if not name.startswith("loss.")}
    expected = model.state_dict()
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    if missing or unknown:
        faults = [
            f"'{names[0]}' is {word} ({len(names)} such)"
            for names, word in ((missing, "missing"), (unknown, "unknown"))
            if names
        ]
        raise ValueError(
            f"{file}: {' and '.join(faults)}; expected the {len(expected)} tensors of the VQ-GAN in the params"
        )
    for name, value in expected.items():
        if state[name].shape != value.shape:
            raise ValueError(
                f"{file}: '{name}' is {list(state[name].shape)}, expected {list(value.shape)}; "
                "the sizes in the params are not those of these weights"
            )
    model.load_state_dict(state)
    return file


def _read(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or of a torch checkpoint, there maybe under ``state_dict``."""
    expected = "expected safetensors or a torch checkpoint; bring it anew"
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError:
            raise ValueError(f"{file}: damaged or no file of weights; {expected}") from None
    content = read_torch(file, expected)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{file}: holds no state dict; expected the weights of an image tokenizer")
    return state
