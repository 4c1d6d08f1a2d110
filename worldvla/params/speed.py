"""Params of the speed stage."""

from dataclasses import dataclass

from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class SpeedParams:
    """How policies are timed."""

    # Variants whose first training is timed.
    policies: tuple[str, ...]
    # Queries of each, of which the median is taken: as many rounds. One alone has no spread.
    num_queries: int
    # As of the rollouts.
    graphs: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, num_queries=at_least(2))
