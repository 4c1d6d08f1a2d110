"""The paper's own checkpoints: what they are, and params of the stages that fetch them."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import at_least, check, multiple_of
from worldvla.params.train import Mask

ORIGIN_FILE = "released.json"  # in a checkpoint's folder: the repository, commit and folder that it was fetched from

Released = Literal["released_256", "released_512"]


@dataclass(frozen=True)
class Checkpoint:
    """What table 2's checkpoints of one size of images were trained for; chunks are the suite's."""

    # In the repository; one folder per suite below it.
    folder: str
    # Side of the images in pixels.
    pixels: int
    # Images per observation, and mask.
    history: int = 2
    mask: Mask = "action"


CHECKPOINTS: dict[str, Checkpoint] = {
    "released_256": Checkpoint("model_256", 256),
    "released_512": Checkpoint("model_512", 512),
}


@dataclass(frozen=True)
class ReleasedTokenizerParams:
    """Chameleon's published tokenizers, for images of one size."""

    # Side of the images in pixels.
    pixels: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, pixels=multiple_of(16))


@dataclass(frozen=True)
class ReleasedModelParams:
    """A checkpoint of the paper's authors, and how it is asked."""

    # In their repository, e.g. model_256/libero_goal.
    folder: str
    # Actions per answer (K), images per observation (M) and mask of its training.
    chunk: int
    history: int
    mask: Mask

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, chunk=at_least(1), history=at_least(1))
