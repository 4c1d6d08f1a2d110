"""How many cores there are to use."""

import os
from pathlib import Path

STAGE_CORES = "STAGE_CORES"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's: microseconds per so many, or "max"


def num_cores() -> int:
    """Return the number of cores that this process may use, a container's share of them counted.

    What starts a process may have given it fewer, in the environment variable STAGE_CORES.
    """
    cores = len(os.sched_getaffinity(0))
    given = os.environ.get(STAGE_CORES, "")
    if given.isdecimal() and int(given) > 0:
        return min(cores, int(given))
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or no limit
        return cores
