"""How numbers are written on every page."""

import math

Ends = tuple[float, float]  # of an interval


def percent(rate: float | None) -> str:
    """Return a success rate; nothing where there is none."""
    return "" if rate is None else f"{rate:.1f} %"


def decimal(value: float, unit: str = "", sign: str = "") -> str:
    """Return a number with the decimals of its unit."""
    return f"{value:{sign}.{2 if unit in ('dB', 'log odds') else 1}f}"


def signed(value: float, unit: str = "") -> str:
    """Return a difference with its sign and unit."""
    return f"{decimal(value, unit, '+')} {unit}".rstrip()


def span(ends: Ends | None, unit: str = "points") -> str:
    """Return an interval in words; why there is none."""
    return " to ".join(decimal(end, unit, "+") for end in ends) if ends else "no interval"


def between(ends: Ends | None) -> str:
    """Return the interval of a rate in percent; nothing where there is none."""
    return f"{ends[0]:.1f} to {ends[1]:.1f}" if ends else ""


def p(value: float) -> str:
    """Return a p value as it is printed."""
    return f"{value:.4f}" if 0.001 <= value < 0.01 else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def number(value: float | None) -> str:
    """Return a distance of sets."""
    return f"{value:.1f}" if value is not None and math.isfinite(value) else "no distance"


def digits(value: float) -> str:
    """Return a number to two digits."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:.0f}" if rounded >= 10 else f"{rounded:#.2g}"
