"""Params of the filter stage."""

from dataclasses import dataclass

from worldvla.params.benchmarks import Benchmark, Looks
from worldvla.params.ranges import at_least, check, multiple_of


@dataclass(frozen=True)
class FilterParams:
    """How demonstrations are replayed."""

    benchmark: Benchmark
    suite: str
    # Indices of the suite's tasks, in LIBERO's order.
    tasks: tuple[int, ...]
    # Of LIBERO's scenes.
    looks: Looks
    # Side of the images that the model sees, in pixels.
    pixels: int
    # Of what a state does not hold, as the poses of LIBERO's fixtures.
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, pixels=multiple_of(16), seed=at_least(0), tasks=at_least(0))
