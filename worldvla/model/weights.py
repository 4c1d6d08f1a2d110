"""Weights of the transformer from and to folders: ours, and the published ones.

A folder has ``config.json`` and ``*.safetensors``, with ``model.safetensors.index.json`` if these are several. Ours opens with
``ChameleonModel.from_pretrained`` of transformers too, which wants norms of queries and keys for every head; published
folders have one of all heads [1, head_dim], as the model here. It knows nothing of ``position_rms``, which stands in ours.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor

from worldvla.disk_errors import disk_errors
from worldvla.files import write_json
from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.rows import own, own_rows

AGAIN = "fetch the model again, or run: dvc repro train"
INDEX = "model.safetensors.index.json"
# Parts of published folders that are no part of the transformer: the image tokenizer's encoder, which is a model of its own
# here, and the successor's head for continuous actions.
LEFT_OUT = ("model.vqmodel.", "action_head.")
NORMS = (".q_norm.weight", ".q_norm.bias", ".k_norm.weight", ".k_norm.bias")
# What a config may say that would make another model, and the one value that this one has. Its ids of special tokens are
# not read: the published folders have transformers' defaults there, not Chameleon's.
FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
    "swin_norm": False,
    "tie_word_embeddings": False,
}


def read_config(folder: Path) -> ChameleonConfig:
    """Read the sizes of the model in a folder, field by field.

    Raises:
        ValueError: no config.json, one that lacks a size, or one of a model of another kind.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the folder of a model. Run: dvc repro train")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rope = content.get("rope_parameters") or content
        config = ChameleonConfig(
            vocab_size=int(content["vocab_size"]),
            hidden_size=int(content["hidden_size"]),
            num_layers=int(content["num_hidden_layers"]),
            num_heads=int(content["num_attention_heads"]),
            intermediate_size=int(content["intermediate_size"]),
            eps=float(content.get("rms_norm_eps", 1e-5)),
            rope_theta=float(rope.get("rope_theta", 10_000.0)),
            position_rms=float(content.get("position_rms", 0.0)),
        )
        sizes = config.hidden_size, config.num_layers, config.num_heads, config.intermediate_size, config.vocab_size
        if (
            min(sizes) < 1
            or config.hidden_size % (2 * config.num_heads)
            or min(config.rope_theta, config.eps) <= 0
            or not 0 <= config.position_rms < math.inf
        ):
            raise ValueError(f"{config}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not the config of a Chameleon ({type(error).__name__} {error}); expected its sizes; {AGAIN}"
        ) from None
    expected = FIXED | {"num_key_value_heads": config.num_heads}
    for name, value in expected.items():
        if content.get(name, value) != value:
            raise ValueError(f"{path}: {name} is {content[name]}, expected {value}, as Chameleon has it; {AGAIN}")
    if rope.get("rope_type", "default") != "default":
        raise ValueError(f"{path}: rope_type is {rope['rope_type']}, expected default, as Chameleon has it; {AGAIN}")
    return config


def load(folder: Path, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Chameleon:
    """Return the model in a folder, in evaluation mode; one tensor at a time is held twice.

    Args:
        folder: see above.
        device: where to put it; the CPU if absent.
        dtype: of the weights; as stored if absent.

    Raises:
        ValueError: a file is missing or damaged, a tensor is missing, unknown, of another shape, or not finite. All but the
            last is found before any weight is read.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = Chameleon(config)
    for name, value in _tensors(folder, model, device):
        model.load_state_dict({name: value.to(dtype)}, strict=False, assign=True)
    return model.requires_grad_(True).eval()


@torch.no_grad()
def read_into(model: Chameleon, folder: Path) -> None:
    """Fill a model's weights, of whatever type and place, with those in a folder; each process reads its rows alone.

    Raises:
        ValueError: as ``load``.
    """
    for name, value in _tensors(folder, model, None):
        own(model.get_parameter(name)).copy_(value)


def _tensors(folder: Path, model: Chameleon, device: torch.device | None) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of every weight, or of the rows of it that this process holds."""
    weights = model.state_dict()
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    files = _files(folder)
    left_out = _check(folder, files, shapes, model.config)
    if left_out:
        print(f"{folder}: left out {', '.join(f'{count} tensors of {part}*' for part, count in left_out.items())}")
    for path, names in files.items():
        with safe_open(path, framework="pt", device=str(device or "cpu")) as stream:
            for name in names:
                if name in shapes:
                    rows, stored = own_rows(weights[name]), stream.get_slice(name)
                    if tuple(stored.get_shape()) == shapes[name]:
                        if len(rows):
                            yield name, _finite(path, name, stored[rows.start : rows.stop])
                    else:
                        norm = _of_all_heads(path, name, _finite(path, name, stream.get_tensor(name)))
                        yield name, norm[rows.start : rows.stop]


def save(model: Chameleon, folder: Path) -> None:
    """Write a model into an existing folder."""
    config = model.config
    state = {
        name: (value.expand(config.num_heads, -1) if name.endswith(NORMS) else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    with disk_errors():
        save_torch_state_dict(state, folder)
    write_json(folder / "config.json", _config(config))


def _config(config: ChameleonConfig) -> dict[str, Any]:
    """Return config.json as transformers reads it."""
    return {
        "architectures": ["ChameleonForConditionalGeneration"],
        "model_type": "chameleon",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "rms_norm_eps": config.eps,
        "rope_theta": config.rope_theta,
        "position_rms": config.position_rms,
        **FIXED,
        # transformers wants to know; our ids never pass through it, and the image tokenizer stands elsewhere.
        "vocabulary_map": {"<image>": 0, "IMGIMGAZ": 1},
        "vq_config": {"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "num_embeddings": 1},
    }


def _files(folder: Path) -> dict[Path, list[str]]:
    """Return the files of weights, with the names that each holds as the index says, or else as it says itself."""
    index = folder / INDEX
    if not index.is_file():
        found = sorted(folder.glob("*.safetensors"))
        if not found:
            raise ValueError(f"{folder}: no weights here, expected *.safetensors. Run: dvc repro train")
        return {path: [name for name, _ in _shapes(path)] for path in found}
    files: dict[Path, list[str]] = {}
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
        for name, file in places:
            files.setdefault(folder / file, []).append(name)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{index}: no index of weights; expected a weight_map; {AGAIN}") from None
    for path, names in files.items():
        if not path.is_file():
            raise ValueError(f"{path}: no such file, but {INDEX} names it; expected it there; {AGAIN}")
        held = {name for name, _ in _shapes(path)}
        if absent := [name for name in names if name not in held]:
            raise ValueError(f"{path}: '{absent[0]}' is not in it, but {INDEX} says so; {AGAIN}")
    return files


def _shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor of a file, of which only the header is read."""
    try:
        with safe_open(path, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118  it is no mapping
                piece = stream.get_slice(name)
                if piece.get_dtype() not in ("F64", "F32", "F16", "BF16"):
                    raise ValueError(
                        f"{path}: '{name}' is of type {piece.get_dtype()}; expected floating point numbers; {AGAIN}"
                    )
                yield name, tuple(piece.get_shape())
    except (SafetensorError, OSError):
        raise ValueError(f"{path}: damaged or cut off; expected a file of safetensors; {AGAIN}") from None


def _check(
    folder: Path, files: dict[Path, list[str]], shapes: dict[str, tuple[int, ...]], config: ChameleonConfig
) -> dict[str, int]:
    """Refuse names and shapes that are not the model's; return how many tensors of which part are left out."""
    found: set[str] = set()
    left_out: dict[str, int] = {}
    for path, names in files.items():
        wanted = set(names)
        for name, shape in _shapes(path):
            if name not in wanted:
                continue
            if part := next((part for part in LEFT_OUT if name.startswith(part)), None):
                left_out[part] = left_out.get(part, 0) + 1
                continue
            if name not in shapes:
                raise ValueError(
                    f"{path}: '{name}' is unknown; expected the {len(shapes)} tensors of a Chameleon; {AGAIN}"
                )
            of_heads = (config.num_heads, config.head_dim)
            if shape != shapes[name] and not (name.endswith(NORMS) and shape == of_heads):
                raise ValueError(
                    f"{path}: '{name}' is {list(shape)}, expected {list(shapes[name])}; the sizes in config.json are not "
                    "those of these weights; " + AGAIN
                )
            found.add(name)
    missing = [name for name in shapes if name not in found]
    if missing:
        raise ValueError(
            f"{folder}: '{missing[0]}' is missing ({len(missing)} such); expected the {len(shapes)} tensors of a Chameleon; {AGAIN}"
        )
    return left_out


def _finite(path: Path, name: str, value: Tensor) -> Tensor:
    if not value.isfinite().all():
        raise ValueError(f"{path}: '{name}' has a value that is not finite; expected weights; {AGAIN}")
    return value


def _of_all_heads(path: Path, name: str, value: Tensor) -> Tensor:
    """Return the norm of all heads [1, head_dim], stored once for every head; refuse norms that differ."""
    if not (value == value[:1]).all():
        raise ValueError(
            f"{path}: '{name}' differs from head to head; expected one norm for all heads, as the published models have; "
            f"{AGAIN}"
        )
    return value[:1]
