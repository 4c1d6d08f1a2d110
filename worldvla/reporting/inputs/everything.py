"""All that a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting.inputs.clips import VideoMetrics, read_video_metrics
from worldvla.reporting.inputs.runs import Absent, Rollouts


@dataclass(frozen=True)
class Inputs:
    """Params, and the folders of what the stages before the report left behind."""

    params: ReportParams
    models: Path
    tokenizers: Path
    rollouts_folder: Path
    videos: Path
    speed: Path
    timing: Path

    @cached_property
    def rollouts(self) -> Rollouts:
        """The rollouts of all variants."""
        return Rollouts(self.rollouts_folder, self.params)

    @cached_property
    def metrics(self) -> Mapping[str, VideoMetrics | Absent]:
        """Scored clips by suite."""
        return read_video_metrics(self.videos, self.params)

    @property
    def about(self) -> str:
        """What every page says first: benchmark and seed."""
        return f"Benchmark `{self.params.benchmark}`, seed {self.params.seed}."
