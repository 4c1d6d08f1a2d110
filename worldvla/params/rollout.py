"""Params of the rollout stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.benchmarks import NUM_INIT_STATES, Benchmark, Looks
from worldvla.params.ranges import at_least, between, check, multiple_of
from worldvla.params.train import Mask

# Of an answer with a token that is no bin. fail: it is a failure of the policy, which ends the episode. clamp: the token
# counts as the nearest bin, as in the release.
NoBin = Literal["fail", "clamp"]


@dataclass(frozen=True)
class RolloutParams:
    """How a policy is run in the simulator."""

    benchmark: Benchmark
    suite: str
    # Indices of the suite's tasks, in LIBERO's order.
    tasks: tuple[int, ...]
    # Of LIBERO's scenes.
    looks: Looks
    # Actions executed per query (K), images per observation (M) and mask: those of the model's training.
    chunk: int
    history: int
    mask: Mask
    # What becomes of an answer with a token that is no bin.
    no_bin: NoBin
    # Side of the images in pixels: that of the model's training.
    pixels: int
    # Rollouts per task, from the first of its fixed initial states; the paper has all 50.
    init_states_per_task: int
    # Rollouts that run in lock-step and share a batch of the policy.
    environments: int
    # Whether decoding on a GPU is recorded as CUDA graphs and replayed: the same answers, sooner. Nothing on a CPU.
    graphs: bool
    # Control steps before a rollout counts as failed.
    max_steps: int
    # Rollouts per task to film, from the first of its initial states: the same for every run, to compare them.
    films_per_task: int
    # Of what a state does not hold, as the poses of LIBERO's fixtures.
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(
            self,
            chunk=between(1, self.max_steps),
            history=at_least(1),
            pixels=multiple_of(16),
            init_states_per_task=between(1, NUM_INIT_STATES),
            environments=at_least(1),
            max_steps=at_least(1),
            films_per_task=between(0, self.init_states_per_task),
            seed=at_least(0),
            tasks=at_least(0),
        )
