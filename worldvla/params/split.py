"""Params of the split stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.benchmarks import Benchmark

Protocol = Literal["paper", "release"]


@dataclass(frozen=True)
class SplitParams:
    """Which episodes are for training and which for validation."""

    benchmark: Benchmark
    suite: str
    # paper: the last tenth of each task's episodes is for validation. release: besides, one task of the suite is held
    # out whole, as the released code does.
    protocol: Protocol
