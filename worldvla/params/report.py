"""Params of the report stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.benchmarks import Benchmark, Looks
from worldvla.params.claims import ClaimsParams
from worldvla.params.download import Demonstrations
from worldvla.params.experiment import AblationTasks
from worldvla.params.pixels import Images
from worldvla.params.released import Released
from worldvla.params.split import Protocol
from worldvla.params.train import Episodes, Mask, SampleKind
from worldvla.params.trainings import planned_name


@dataclass(frozen=True)
class ReportedVariant:
    """The effective values of a variant."""

    samples: tuple[SampleKind, ...]
    mask: Mask
    # Size of the images it sees, their side in pixels, and images per observation.
    images: Images
    pixels: int
    history: int
    # Actions per answer, by suite.
    chunk: dict[str, int]
    # Episodes it was trained on: the split's training part, or all.
    episodes: Episodes
    # How often the length in conf/ it is trained, for each of its kinds of samples.
    times: int
    # Numbers of its trainings, and whether it is one of those that are only ever trained once.
    trainings: tuple[int, ...]
    once: bool
    # Variant whose weights it started from.
    start: str | None
    # Whether it is rolled out, timed, and predicts validation clips.
    rollout: bool
    speed: bool
    generate: bool

    def stage(self, script: Literal["train", "rollout"]) -> str:
        """Return the stage of dvc.yaml that trains this kind of model, or rolls it out."""
        if script == "train" and self.start is not None:
            return "finetune"
        if self.once:
            return f"{script}_once"
        return script if self.images == "main" else f"{script}_other_pixels"


@dataclass(frozen=True)
class ReportedPlanning:
    """Among what a variant that looks ahead chooses: chunks per query, and the temperature of those that are drawn."""

    candidates: int
    temperature: float


@dataclass(frozen=True)
class ReportParams:
    """What the reports are about."""

    scale: str
    # Of the layers' matrices.
    optimizer: Literal["AdamW", "Muon"]
    # Samples per step of a training.
    batch: int
    seed: int
    benchmark: Benchmark
    demonstrations: Demonstrations
    suites: tuple[str, ...]
    # Of LIBERO's scenes.
    looks: Looks
    # By suite: how many of its tasks were chosen, and how many it has.
    num_tasks: dict[str, tuple[int, ...]]
    # Which episodes are held out, and on which tasks the ablations are scored: those trained on, or all.
    split: Protocol
    ablation_tasks: AblationTasks
    variants: dict[str, ReportedVariant]
    # Checkpoints of the paper's authors that are rolled out.
    released: tuple[Released, ...]
    # Variants that are rolled out a second time, looking ahead.
    planning: dict[str, ReportedPlanning]
    # Lengths in frames at which predicted clips are scored, the given first frame included.
    horizons: tuple[int, ...]
    # Thresholds by which the paper's claims are judged.
    claims: ClaimsParams

    def planner(self, name: str) -> str | None:
        """Return the variant whose rollouts are called by this name because it looks ahead; None of any other name."""
        return next((variant for variant in self.planning if planned_name(variant) == name), None)
