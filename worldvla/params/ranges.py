"""Ranges of params, checked when a dataclass of them is made."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The values that a field may have: a test and its description."""

    holds: Callable[[float], bool]
    words: str


POSITIVE = Range(lambda value: value > 0, "a number above 0")


def at_least(low: float) -> Range:
    """Return the range from ``low`` upwards, ``low`` included."""
    return Range(lambda value: value >= low, f"at least {low}")


def between(low: float, high: float) -> Range:
    """Return the range from ``low`` to ``high``, both included."""
    return Range(lambda value: low <= value <= high, f"{low} to {high}")


def multiple_of(unit: int) -> Range:
    """Return the positive multiples of ``unit``."""
    return Range(lambda value: value > 0 and value % unit == 0, f"a positive multiple of {unit}")


def check(params: object, **ranges: Range) -> None:
    """Check fields of a params object; a field that is None passes, of a tuple every entry is checked.

    Raises:
        ValueError: one line per field out of its range, e.g. ``steps is 0; expected at least 1``.
    """
    faults = []
    for name, allowed in ranges.items():
        value = getattr(params, name)
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(allowed.holds(entry) for entry in values):
            faults.append(f"{name} is {value}; expected {allowed.words}")
    if faults:
        raise ValueError("\n".join(faults))
