"""How many cores there are to use."""

import os
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's: microseconds per so many, or "max"


def num_cores() -> int:
    """Return the number of cores that this process may use, a container's share of them counted."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or no limit
        return cores
