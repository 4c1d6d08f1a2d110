"""Several trainings of one row: their own numbers, their spread, and whether they may be taken together."""

from collections.abc import Mapping, Sequence
from statistics import stdev

# What all trainings of a row share: key of what a run was made of -> in words.
SHARED = {
    "recipe": "params of the training",
    "trained_by": "code of the training",
    "data": "training data",
    "tokenizer": "tokenizer",
    "params": "params",
    "code": "code",
    "simulator": "simulator",
}


def difference(made_of: Mapping[int, Mapping[str, str]]) -> tuple[int, int, str] | None:
    """Return the first two trainings that may not be taken together, and in which they differ; None if all may.

    Args:
        made_of: number of the training -> what its run was made of.
    """
    (first, expected), *others = made_of.items()
    for number, found in others:
        words = [name for key, name in SHARED.items() if found.get(key) != expected.get(key)]
        if words:
            return first, number, " and ".join(words)
    return None


def spread(percents: Sequence[float], decimals: int = 1) -> str:
    """Return each training's own rate, and their standard deviation where there are at least two; nothing for one."""
    if len(percents) < 2:
        return ""
    listed = ", ".join(f"{percent:.{decimals}f}" for percent in percents)
    return f"{listed}; SD {stdev(percents):.1f} points"


def too_few(number: int, least: int) -> str:
    """Return what stands in the place of a verdict on fewer trainings of each model than it needs; nothing if they do."""
    return "" if number >= least else f"{number} training{'s' * (number != 1)} per arm; expected {least}"
