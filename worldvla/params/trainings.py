"""The trainings of a row: numbered from 1, each with a seed of its own that follows from the experiment's."""

import hashlib
from collections.abc import Iterable

ONCE = (1,)  # the number of the only training of a variant that has one, and of the one whose speed is measured
SEED_BYTES = 6  # 2^48 seeds, so that no two numbers meet


def training_seed(seed: int, number: int) -> int:
    """Return the seed of a training: of its initial weights and of the order of its samples.

    It follows from the number alone, so that more numbers change nothing of those that are there; by a digest, so that no
    number of one experiment's seed is a number of another's.
    """
    digest = hashlib.sha256(f"training {number} of seed {seed}".encode()).digest()
    return int.from_bytes(digest[:SEED_BYTES], "big")


def run_name(variant: str, suite: str, number: int) -> str:
    """Return what a training's run is called, everywhere: by DVC, in data/ and in the reports."""
    return f"{variant}-{suite}-{number}"


def model_name(variant: str, number: int) -> str:
    """Return what a training is called among the models of one suite that predict clips."""
    return f"{variant}-{number}"


def planned_name(variant: str) -> str:
    """Return what the rollouts of a variant that looks ahead are called, in the place of the variant."""
    return f"{variant}_planned"


def check_trainings(numbers: Iterable[int]) -> None:
    """Raise a ValueError if these are not the numbers of trainings."""
    listed = list(numbers)
    if not listed or min(listed) < 1 or len(set(listed)) != len(listed):
        raise ValueError(f"trainings is {listed}; expected numbers from 1 on, each once: [1, 2, 3], or [1]")
    if 1 not in listed:
        raise ValueError(
            f"trainings is {listed}; expected 1 among them, the one that is timed; others are run alone by the names of "
            f"their stages: ./run reproduce rollout@action-goal-{listed[0]}"
        )
