"""How long a call takes."""

import statistics
import time
from collections.abc import Callable

REPEATS = 3


def seconds(run: Callable[[], object]) -> float:
    """Return the median wall time of a call after one to warm up."""
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
