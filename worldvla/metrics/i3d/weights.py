"""Weights of the I3D that FVD is defined on, from any file that people have, recognised by their checksums.

They are DeepMind's `rgb_scratch` checkpoint, trained on Kinetics-400 from scratch; TF-Hub's i3d-kinetics-400/1 holds the
same values. These files are read, told apart by content and not by name:

    torchscript    i3d_torchscript.pt of StyleGAN-V
    state dict     with the names of piergiaj/pytorch-i3d (VideoGPT's i3d_pretrained_400.pt) or of hassony2's I3D
    TensorFlow     data shard of the checkpoint, or of TF-Hub's module: flat float32, the variables sorted by name
"""

import json
import math
import zipfile
from pathlib import Path

import google_crc32c
import numpy as np
import torch
from torch import Tensor

from worldvla.files import file_digest
from worldvla.metrics.i3d.network import I3D
from worldvla.torch_files import DAMAGED, read_torch

# To load a torchscript file is to run the program in it, so only the published one is loaded.
TORCHSCRIPT_SHA256 = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
EXPECTED = (
    "expected StyleGAN-V's i3d_torchscript.pt, VideoGPT's i3d_pretrained_400.pt or model.ckpt.data-00000-of-00001 of "
    "DeepMind's rgb_scratch; name it in video_metrics.i3d_weights, or set that to null for a substitute"
)
# Units of a Mixed block: ours, TensorFlow's, hassony2's.
BRANCHES = {
    "b0": ("Branch_0/Conv3d_0a_1x1", "branch_0"),
    "b1a": ("Branch_1/Conv3d_0a_1x1", "branch_1.0"),
    "b1b": ("Branch_1/Conv3d_0b_3x3", "branch_1.1"),
    "b2a": ("Branch_2/Conv3d_0a_1x1", "branch_2.0"),
    "b2b": ("Branch_2/Conv3d_0b_3x3", "branch_2.1"),
    "b3b": ("Branch_3/Conv3d_0b_1x1", "branch_3.1"),
}
VARIABLES = {
    "conv3d.weight": "conv_3d/w",
    "conv3d.bias": "conv_3d/b",
    "bn.bias": "batch_norm/beta",
    "bn.running_mean": "batch_norm/moving_mean",
    "bn.running_var": "batch_norm/moving_variance",
}
SCALE = ".bn.weight"  # no variable of TensorFlow's: BatchNorm there has no scale
COUNTER = ".num_batches_tracked"  # in some state dicts, used by none


def load_weights(path: Path) -> dict[str, Tensor]:
    """Return ``I3D``'s state dict from a file, if its weights are those that FVD is defined on.

    Every value is checked: each variable's CRC32C, over its bytes in TensorFlow's layout, is compared with the one in
    the index of the published checkpoint, and each scale of a BatchNorm must be 1.

    Raises:
        ValueError: no such file, not the weights of an I3D, or not `rgb_scratch`.
    """
    state = _read(path)
    for name, value in state.items():
        if name.endswith(SCALE) and not (value == 1).all():
            raise ValueError(f"{path}: '{name}' is not 1 everywhere, and the I3D of FVD has no such scale; {EXPECTED}")
    found, published = checksums(state), published_checksums()
    if found == published["rgb_scratch"]:
        return state
    if found == published["rgb_imagenet"]:
        raise ValueError(f"{path}: holds rgb_imagenet, the I3D inflated from ImageNet, no weights for FVD; {EXPECTED}")
    differ = [name for name, value in published["rgb_scratch"].items() if found[name] != value]
    raise ValueError(
        f"{path}: '{differ[0]}' is not that of the published I3D ({len(differ)} of {len(found)} differ); {EXPECTED}"
    )


def published_checksums() -> dict[str, dict[str, str]]:
    """Return the masked CRC32C, in hex, of each variable of `rgb_scratch` and of `rgb_imagenet`."""
    tables = json.loads(Path(__file__).with_name("k400_checksums.json").read_text(encoding="utf-8"))
    return {checkpoint: tables[checkpoint] for checkpoint in ("rgb_scratch", "rgb_imagenet")}


def checksums(state: dict[str, Tensor]) -> dict[str, str]:
    """Return the masked CRC32C, in hex, of each variable of a state dict, by TensorFlow's name."""
    found = {}
    for name, value in state.items():
        if not name.endswith(SCALE):
            array = value.permute(2, 3, 4, 1, 0) if value.ndim == 5 else value  # kernels there: D, H, W, in, out
            found[tensorflow_name(name)] = f"{masked_crc32c(array.numpy().astype('<f4').tobytes()):08x}"
    return found


def masked_crc32c(content: bytes) -> int:
    """Return the CRC32C as TensorFlow's index files store it: rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tensorflow_name(name: str) -> str:
    """Return TensorFlow's name of one of our tensors: `Mixed_3b.b0.bn.bias` is `.../Branch_0/.../batch_norm/beta`."""
    layer, *branch, kind, value = name.split(".")
    scope = "Logits/Conv3d_0c_1x1" if layer == "logits" else layer
    if branch:
        scope += f"/{BRANCHES[branch[0]][0]}"
    if scope == "Mixed_5b/Branch_2/Conv3d_0b_3x3":
        scope = "Mixed_5b/Branch_2/Conv3d_0a_3x3"  # a slip in DeepMind's graph
    return f"RGB/inception_i3d/{scope}/{VARIABLES[f'{kind}.{value}']}"


def hassony2_name(name: str) -> str:
    """Return hassony2's name of one of our tensors: `Mixed_3b.b0.bn.bias` is `mixed_3b.branch_0.batch3d.bias`."""
    layer, *branch, kind, value = name.split(".")
    layer = "conv3d_0c_1x1" if layer == "logits" else layer.lower()
    return ".".join([layer, *(BRANCHES[unit][1] for unit in branch), kind.replace("bn", "batch3d"), value])


def tensor_shapes() -> dict[str, torch.Size]:
    """Return the shape of each of our tensors."""
    with torch.device("meta"):  # allocates and draws nothing
        return {name: value.shape for name, value in I3D().state_dict().items() if not name.endswith(COUNTER)}


def _read(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors, float32 on the CPU, with our names and shapes; scales are added where there are none."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {EXPECTED}")
    shapes = tensor_shapes()
    variables = {tensorflow_name(name): name for name in shapes if not name.endswith(SCALE)}
    if path.stat().st_size == 4 * sum(math.prod(shapes[name]) for name in variables.values()):
        return _read_shard(path, {variables[name]: shapes[variables[name]] for name in sorted(variables)})
    ours = {hassony2_name(name): name for name in shapes}
    content = _read_torch(path)
    state = {ours.get(name, name): value.detach() for name, value in content.items() if not name.endswith(COUNTER)}
    for word, names in (("missing", shapes.keys() - state.keys()), ("unknown", state.keys() - shapes.keys())):
        if names:
            raise ValueError(f"{path}: '{min(names)}' is {word} ({len(names)} such); {EXPECTED}")
    for name, shape in shapes.items():
        if state[name].shape != shape or state[name].dtype != torch.float32:
            got = f"{state[name].dtype} {list(state[name].shape)}"
            raise ValueError(f"{path}: '{name}' is {got}, not torch.float32 {list(shape)}; {EXPECTED}")
    return state


def _read_shard(path: Path, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Return the tensors of TensorFlow's shard, given our names and shapes in the order of the file."""
    values = torch.from_numpy(np.fromfile(path, "<f4").astype(np.float32))
    sizes = [math.prod(shape) for shape in shapes.values()]
    state = {}
    for (name, shape), flat in zip(shapes.items(), values.split(sizes), strict=True):
        if len(shape) == 5:
            out, channels, *kernel = shape
            flat = flat.view(*kernel, channels, out).permute(4, 3, 0, 1, 2).contiguous()
        state[name] = flat
    return state | {name: torch.ones(shape) for name, shape in tensor_shapes().items() if name.endswith(SCALE)}


def _read_torch(path: Path) -> dict[str, Tensor]:
    """Return the state dict of the published torchscript file, or one that torch saved."""
    if _is_torchscript(path):
        if (digest := file_digest(path)) != TORCHSCRIPT_SHA256:
            got = f"a torchscript program with sha256 {digest[:12]}"
            raise ValueError(f"{path}: {got}, which is not run; only {TORCHSCRIPT_SHA256[:12]} is; {EXPECTED}")
        return dict(torch.jit.load(path, map_location="cpu").state_dict())
    state = read_torch(path, EXPECTED)
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ValueError(f"{path}: holds no state dict; {EXPECTED}")
    return state


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except DAMAGED:  # no archive, or a damaged one, of which torch then says so too
        return False
