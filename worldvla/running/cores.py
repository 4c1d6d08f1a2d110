"""How many cores there are to use."""

import os
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's: microseconds per so many, or "max"
STAGE_CORES = "STAGE_CORES"  # the environment's variable for a process's share, where others run beside it


def num_cores() -> int:
    """Return the number of cores that this process may use: a container's share of them, and its own of STAGE_CORES.

    Raises:
        ValueError: STAGE_CORES is no number from 1 on.
    """
    share = os.environ.get(STAGE_CORES)
    if not share:
        return num_cores_of_machine()
    if not (share.isdecimal() and int(share)):
        raise ValueError(f"{STAGE_CORES} is '{share}'; expected a number of cores from 1 on; unset it")
    return min(num_cores_of_machine(), int(share))


def num_cores_of_machine() -> int:
    """Return the number of cores that this process and those beside it may use, a container's share counted."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or no limit
        return cores
