"""Params of the generate stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class GenerateParams:
    """How a world model predicts validation clips."""

    # List of episodes to predict.
    split: Literal["val_ind"]
    # Lengths in frames at which the clips are scored, the given first frame included; the longest is predicted. A shorter
    # episode is left out. Below 9 frames I3D, on whose features FVD is measured, has nothing left to average.
    horizons: tuple[int, ...]
    # Clips that are predicted side by side.
    batch: int
    # Whether a predicted frame is decoded to pixels and encoded again before the next is predicted, as the successor's
    # script does; otherwise its codes are given back as they are.
    reencode: bool
    # Of the control that gets the actions in another order.
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, horizons=at_least(9), batch=at_least(1), seed=at_least(0))
        if not self.horizons or len(set(self.horizons)) != len(self.horizons):
            raise ValueError(f"horizons is {list(self.horizons)}; expected at least one length in frames, each once")
