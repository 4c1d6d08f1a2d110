"""Params of the report stage."""

from dataclasses import dataclass

from worldvla.params.benchmarks import Benchmark, Suite
from worldvla.params.claims import ClaimsParams
from worldvla.params.download import Demonstrations
from worldvla.params.train import Mask, SampleKind


@dataclass(frozen=True)
class ReportedVariant:
    """The effective values of a variant."""

    samples: tuple[SampleKind, ...]
    mask: Mask
    # Images per observation.
    history: int
    # Actions per answer, by suite.
    chunk: dict[str, int]
    # Variant whose weights it started from.
    start: str | None
    # Whether it is rolled out, timed, and predicts validation clips.
    rollout: bool
    speed: bool
    generate: bool


@dataclass(frozen=True)
class ReportParams:
    """What the reports are about."""

    scale: str
    seed: int
    benchmark: Benchmark
    demonstrations: Demonstrations
    suites: tuple[Suite, ...]
    variants: dict[str, ReportedVariant]
    # Lengths in frames at which predicted clips are scored, the given first frame included.
    horizons: tuple[int, ...]
    # Thresholds by which the paper's claims are judged.
    claims: ClaimsParams
