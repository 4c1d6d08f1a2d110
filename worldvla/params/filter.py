"""Params of the filter stage."""

from dataclasses import dataclass

from worldvla.params.benchmarks import Benchmark, Suite
from worldvla.params.ranges import at_least, check, multiple_of


@dataclass(frozen=True)
class FilterParams:
    """How demonstrations are replayed."""

    benchmark: Benchmark
    suite: Suite
    # Side of the images that the model sees, in pixels.
    pixels: int
    # Of the hard reset before each replay.
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, pixels=multiple_of(16), seed=at_least(0))
