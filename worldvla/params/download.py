"""Params of the download stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.benchmarks import Benchmark
from worldvla.params.ranges import at_least, check

Demonstrations = Literal["scripted", "local", "hub", "lerobot"]


@dataclass(frozen=True)
class DownloadParams:
    """Where the demonstrations of a suite come from, and how many."""

    benchmark: Benchmark
    suite: str
    # Indices of the suite's tasks, in LIBERO's order.
    tasks: tuple[int, ...]
    # scripted: our expert records them; local: a folder of the user's; hub: the published ones; lerobot: a LeRobot dataset.
    demonstrations: Demonstrations
    # Folder of the user's HDF5 files, one per task, or of a LeRobot dataset; only for local and lerobot.
    folder: str | None
    # Demonstrations per task; LIBERO publishes 50.
    demonstrations_per_task: int
    # Of the expert's noise and hesitations and of the scenes it starts from.
    seed: int
    # Sha256 of the folder's files as they were resolved: for local of the suite's tasks, under "folder"; for lerobot of each
    # file, under its path.
    digests: dict[str, str]

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, demonstrations_per_task=at_least(1), seed=at_least(0), tasks=at_least(0))
