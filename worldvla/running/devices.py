"""GPUs whose peak is known, by name: what utilisation is a share of, and what a plan assumes."""

import re
import subprocess
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """A GPU: its name, its peak in bf16 without sparsity (FLOP/s), its memory's rate (bytes/s) and its memory (bytes)."""

    name: str
    flops: float
    bandwidth: float
    memory: float


def _device(name: str, tflops: float, gb_per_s: float, gib: float) -> Device:
    return Device(name, tflops * 1e12, gb_per_s * 1e9, gib * GIB)


# Of the makers' data sheets; products are summed up in fp32. The first whose words are all in the device's name is meant.
DEVICES = (
    _device("B200", 2250, 8000, 180),
    _device("H200", 989, 4800, 140),
    _device("H100 NVL", 835, 3900, 94),
    _device("H100 PCIe", 756, 2000, 80),
    _device("H100", 989, 3350, 80),
    _device("A100 80GB", 312, 2039, 80),
    _device("A100", 312, 1555, 40),
    _device("RTX 6000 Ada", 364, 960, 48),
    _device("L40S", 362, 864, 48),
    _device("RTX A6000", 155, 768, 48),
    _device("RTX 5090", 209, 1792, 32),
    _device("RTX 4090", 165, 1008, 24),
    _device("RTX 3090", 71, 936, 24),
    _device("A10", 125, 600, 24),
    _device("L4", 121, 300, 24),
)


def known_device(name: str) -> Device | None:
    """Return what is known of a GPU by the name that it gives itself (``NVIDIA H100 80GB HBM3``), if anything is."""
    words = set(re.split(r"[^A-Za-z0-9]+", name))
    return next((device for device in DEVICES if words >= set(device.name.split())), None)


def gpu_names() -> list[tuple[str, float]]:
    """Return name and bytes of memory of every GPU of this machine, without starting a driver in this process."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = (line.rsplit(",", 1) for line in lines if "," in line)
    return [(name.strip(), float(mebibytes) * 2**20) for name, mebibytes in rows]
