"""Where a model runs, as which type, and whether it fits there, by arithmetic and before it is read."""

from pathlib import Path

import psutil
import torch

from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.cross_entropy import block_size

# Bytes per weight of a training: fp32 weights, gradients and AdamW's two moments, and the weights as products take them, which
# are kept for the gradients.
TRAINING = {torch.float32: 16, torch.bfloat16: 18}
CGROUP = Path("/sys/fs/cgroup")  # what a container may use
GB = 1e9


def device() -> torch.device:
    """Return the GPU if there is one, else the CPU.

    Raises:
        ValueError: the GPU does not compute in bf16, which is what models are trained and asked in.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(
            f"{torch.cuda.get_device_name()}: this GPU has no bf16; expected one that has (from Ampere on); run this on another "
            "machine"
        )
    return torch.device("cuda")


def answering(device: torch.device) -> torch.dtype:
    """Return the type of a model that is asked: bf16 on a GPU, fp32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def training(device: torch.device) -> torch.dtype:
    """Return the type of a training's products: bf16 where it is faster than fp32, on any GPU and some CPUs."""
    capabilities = torch.cpu.get_capabilities()
    has_bf16 = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return torch.bfloat16 if device.type == "cuda" or has_bf16 else torch.float32


def num_weights(config: ChameleonConfig) -> int:
    """Return the number of weights of a model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Chameleon(config).parameters())


def cache_bytes(config: ChameleonConfig, batch: int, tokens: int, dtype: torch.dtype) -> int:
    """Return the bytes of the keys and values of ``batch`` sequences of ``tokens``."""
    return 2 * config.num_layers * batch * tokens * config.hidden_size * dtype.itemsize


def logits_bytes(config: ChameleonConfig, answered: int, device: torch.device) -> int:
    """Return the bytes that the logits of a loss of ``answered`` tokens take at a time: fp32, and as much to sum them up."""
    return 8 * min(answered, block_size(config.vocab_size, device)) * config.vocab_size


def check_room(config: ChameleonConfig, bytes_per_weight: int, held: int, device: torch.device, what: str) -> None:
    """Refuse a model that does not fit into the free memory.

    Args:
        config: its sizes.
        bytes_per_weight: all that is kept of each; of `TRAINING`, or the size of the type in which it is asked.
        held: bytes beside the weights: keys and values, or logits.
        device: where it is to lie.
        what: the model, for the error.

    Raises:
        ValueError: it does not fit.
    """
    needed = num_weights(config) * bytes_per_weight + held
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if needed > free:
        raise ValueError(
            f"{what}: it needs {needed / GB:.1f} GB of {device.type} memory, {bytes_per_weight} bytes of each weight and "
            f"{held / GB:.1f} GB beside them; {free / GB:.1f} GB are free; expected room for all; run this where there is more"
        )


def free_memory() -> int:
    """Return the bytes that this process may still use of the machine, or of the container that it is in.

    Of a container's use its cache of files does not count: that is given back when it is needed.
    """
    free = psutil.virtual_memory().available
    try:
        limit, used, lines = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current", "stat"))
        stat = {name: int(value) for name, value in map(str.split, lines.splitlines())}
        return min(free, int(limit) - int(used) + stat["active_file"] + stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # no container, or no limit ("max")
        return free
