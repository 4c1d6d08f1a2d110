"""Params of the report stage."""

from dataclasses import dataclass

from worldvla.params.benchmarks import Benchmark, Suite
from worldvla.params.download import Demonstrations
from worldvla.params.train import Mask


@dataclass(frozen=True)
class ReportedVariant:
    """The effective values of a variant."""

    mask: Mask
    chunked: bool
    # Images per observation.
    history: int
    # Actions per answer, by suite.
    chunk: dict[str, int]


@dataclass(frozen=True)
class ReportParams:
    """What the reports are about."""

    scale: str
    seed: int
    benchmark: Benchmark
    demonstrations: Demonstrations
    suites: tuple[Suite, ...]
    variants: dict[str, ReportedVariant]
