"""Params of the speed stage."""

from dataclasses import dataclass

from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class SpeedParams:
    """How a policy is timed."""

    # Queries, one after the other, of which the median is taken.
    num_queries: int
    # As of the rollouts.
    graphs: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, num_queries=at_least(1))
