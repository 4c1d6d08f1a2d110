"""What a person edits: ``params.yaml``."""

import re
from dataclasses import dataclass

from worldvla.params.benchmarks import Benchmark, Suite
from worldvla.params.download import Demonstrations
from worldvla.params.ranges import at_least, check
from worldvla.params.split import Protocol
from worldvla.params.train import Mask, Prompt


@dataclass(frozen=True)
class VariantParams:
    """One kind of model that a table needs."""

    # causal: every token sees all earlier ones. action: an action of the answer does not see the other actions.
    mask: Mask
    # Whether an answer has `chunk` actions; otherwise it has one.
    chunked: bool


@dataclass(frozen=True)
class ExperimentParams:
    """The whole of ``params.yaml``."""

    # Name of the file in conf/ that holds every size.
    scale: str
    # Of everything that is random.
    seed: int
    # Simulated tasks: our own suites, or LIBERO's.
    benchmark: Benchmark
    suites: tuple[Suite, ...]
    # Where demonstrations come from; the folder is for local, and is read again only by: dvc repro -f download
    demonstrations: Demonstrations
    demonstrations_folder: str | None
    # Which episodes are held out.
    split: Protocol
    # Wording around the instruction.
    prompt: Prompt
    # Actions per answer of the chunked variants; null: 10 for the long suite, 5 elsewhere.
    chunk: int | None
    # Images per observation.
    history: int
    variants: dict[str, VariantParams]

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, seed=at_least(0), chunk=at_least(1), history=at_least(1))
        if not self.suites or len(set(self.suites)) != len(self.suites):
            raise ValueError(f"suites is {list(self.suites)}; expected at least one suite, each once")
        if not self.variants:
            raise ValueError("variants is empty; expected at least one variant")
        for name in self.variants:
            if not re.fullmatch("[a-z][a-z0-9_]*", name):  # it becomes part of file names
                raise ValueError(f"variants has '{name}'; expected a name of small letters, digits and underscores")
