"""Params of the split stage."""

from dataclasses import dataclass

from worldvla.data.protocols import Protocol
from worldvla.params.benchmarks import Benchmark
from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class SplitParams:
    """Which episodes are for training and which for validation."""

    benchmark: Benchmark
    suite: str
    # paper: the last tenth of each task's episodes is for validation. release: besides, one task of the suite is held
    # out whole, as the released code does.
    protocol: Protocol
    # Frames of the longest clips that are predicted from held-out episodes, of which there must be two.
    clip_frames: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, clip_frames=at_least(1))
