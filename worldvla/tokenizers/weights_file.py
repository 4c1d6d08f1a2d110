"""Where a folder keeps the weights of an image tokenizer."""

from pathlib import Path

NAMES = ("model.safetensors", "vqgan.ckpt")  # ours, and the published one


def weights_file(path: Path) -> Path:
    """Return the file of weights in a folder, which may not be there; anything else is that file itself."""
    if not path.is_dir():
        return path
    return next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
