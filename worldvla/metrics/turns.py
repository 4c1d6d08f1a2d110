"""How long queries take that are asked in turns, so that whatever slows the machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping

WARM_UP = 3  # rounds that are not counted


def in_turns(queries: Mapping[str, Callable[[], object]], num_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each query by round.

    A round is one query of each. The one that begins it goes to the end in the next round, so that none is always the first.

    Args:
        queries: what to call, by name.
        num_rounds: how many rounds are counted, after a few that are not.
    """
    names, seconds = list(queries), {name: list[float]() for name in queries}
    for number in range(WARM_UP + num_rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            queries[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: found[WARM_UP:] for name, found in seconds.items()}
