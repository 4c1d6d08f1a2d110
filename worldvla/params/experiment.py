"""What a person edits: ``params.yaml``."""

import re
from dataclasses import dataclass
from typing import Literal

from worldvla.params.benchmarks import Benchmark, Looks, suite_entry
from worldvla.params.claims import ClaimsParams
from worldvla.params.download import Demonstrations
from worldvla.params.pixels import Images
from worldvla.params.ranges import at_least, between, check
from worldvla.params.released import Released
from worldvla.params.rollout import NoBin
from worldvla.params.split import Protocol
from worldvla.params.train import Episodes, Mask, Reading, SampleKind
from worldvla.params.trainings import ONCE, check_trainings

AblationTasks = Literal["seen", "all"]

MAX_SEED = 2**32 - 1  # numpy's global generator, from which LIBERO draws, takes no larger one


@dataclass(frozen=True)
class VariantParams:
    """One kind of model that a table needs."""

    # What it is trained on: action, world (the next frame, given the action), video (future frames, given the
    # instruction).
    samples: tuple[SampleKind, ...]
    # causal: every token sees all earlier ones. action: an action of the answer does not see the other actions.
    mask: Mask
    # Actions per answer, and images per observation; null: what the experiment has.
    chunk: int | None
    history: int | None
    # train: the episodes of the split's training part. all: the held-out ones too, as for table 2.
    episodes: Episodes
    # How often the length in conf/ it is trained.
    times: int

    def __post_init__(self) -> None:
        """Check the ranges, and that there is something to train on."""
        check(self, chunk=at_least(1), history=at_least(1), times=at_least(1))
        if not self.samples or len(set(self.samples)) != len(self.samples):
            raise ValueError(f"samples is {list(self.samples)}; expected at least one kind, each once")


@dataclass(frozen=True)
class ExperimentParams:
    """The whole of ``params.yaml``."""

    # Name of the file in conf/ that holds every size.
    scale: str
    # Of everything that is random.
    seed: int
    # Simulated tasks: our own suites, or LIBERO's.
    benchmark: Benchmark
    suites: tuple[str, ...]
    # Tasks by suite, as indices in LIBERO's order or as names; of a suite that is not named, all.
    tasks: dict[str, tuple[int | str, ...]]
    # Of LIBERO's scenes.
    looks: Looks
    # Where demonstrations come from; the folder is for local and lerobot, its files recorded by digest (worldvla/params/named_files.py).
    demonstrations: Demonstrations
    demonstrations_folder: str | None
    # Which episodes are held out.
    split: Protocol
    # Tasks on which the ablations (all success rates but table 2's) are scored: those that the split trains on, as the
    # paper's numbers imply, or all.
    ablation_tasks: AblationTasks
    # Wording of the prompts, and what alpha multiplies.
    prompt: Reading
    alpha_on: Reading
    # Whether LIBERO-Long's instructions begin with the scene in training ("KITCHEN SCENE3 turn on the stove ..."), as in the
    # release; rollouts ask without it, in the release too.
    scene_prefix: bool
    # In rollouts, of an answer with a token that is no action.
    no_bin: NoBin
    # Actions per answer of the variants without a number of their own; null: 10 for the long suite, 5 elsewhere.
    chunk: int | None
    # Images per observation of the variants without a number of their own.
    history: int
    # Next frames per world sample.
    rounds: int
    # Numbers of the trainings of each kind of model under `variants` and `finetune`; the others are trained once.
    trainings: tuple[int, ...]
    # Kinds of model: trained from scratch, and trained from the weights of the variant `finetune_from`.
    variants: dict[str, VariantParams]
    finetune: dict[str, VariantParams]
    finetune_from: str
    # Kinds of model that are trained once, all rolled out.
    once: dict[str, VariantParams]
    # Kinds of model of images of the other size, trained once, all rolled out; and the sizes in use (pixels in conf/).
    other_pixels: dict[str, VariantParams]
    images: tuple[Images, ...]
    # Checkpoints of the paper's authors, fetched and rolled out on every suite.
    released: tuple[Released, ...]
    # Variants to roll out in the simulator, to time, and to predict validation clips with.
    rollout: tuple[str, ...]
    speed: tuple[str, ...]
    generate: tuple[str, ...]
    # Variants to roll out a second time, with a policy that looks ahead.
    planning: tuple[str, ...]
    # Thresholds by which the paper's claims are judged.
    claims: ClaimsParams

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, seed=between(0, MAX_SEED), chunk=at_least(1), history=at_least(1), rounds=at_least(1))
        if not self.suites or len(set(self.suites)) != len(self.suites):
            raise ValueError(f"suites is {list(self.suites)}; expected at least one suite, each once")
        if self.images[:1] != ("main",) or len(set(self.images)) != len(self.images):
            raise ValueError(f"images is {list(self.images)}; expected [main] or [main, other]")
        if len(set(self.released)) != len(self.released):
            raise ValueError(f"released is {list(self.released)}; expected each checkpoint once")
        check_trainings(self.trainings)
        if not self.variants:
            raise ValueError("variants is empty; expected at least one variant")
        for stage in ("rollout", "speed", "generate"):
            names = getattr(self, stage)
            if not names or len(set(names)) != len(names):
                raise ValueError(f"{stage} is {list(names)}; expected at least one variant, each once")
        if len(set(self.planning)) != len(self.planning):
            raise ValueError(f"planning is {list(self.planning)}; expected each variant once")
        for name in self.all_variants():
            if name in ("copy", "reconstruction", "truth"):
                raise ValueError(f"variants has '{name}', which table 4 calls a baseline; expected another name")
            if not re.fullmatch("[a-z][a-z0-9_]*", name):  # it becomes part of file names
                raise ValueError(f"variants has '{name}'; expected a name of small letters, digits and underscores")

    def all_variants(self) -> dict[str, VariantParams]:
        """Return all kinds of model by name, wherever they start from and however often they are trained."""
        return {**self.variants, **self.finetune, **self.once, **self.other_pixels}

    def trainings_of(self, name: str) -> tuple[int, ...]:
        """Return the numbers of the trainings of a kind of model."""
        return self.trainings if name in self.variants or name in self.finetune else ONCE

    def images_of(self, name: str) -> Images:
        """Return which of the two sizes of images a kind of model sees."""
        return "other" if name in self.other_pixels else "main"

    def chunk_of(self, variant: VariantParams, suite: str) -> int:
        """Return the actions per answer of a kind of model on a suite."""
        return variant.chunk or self.chunk or suite_entry(self.benchmark, suite).chunk

    def is_rolled_out(self, name: str) -> bool:
        """Return whether a kind of model is run in the simulator."""
        return name in self.rollout or name in self.once or name in self.other_pixels
