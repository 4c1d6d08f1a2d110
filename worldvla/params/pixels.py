"""Sides of the images that models see."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import check, multiple_of

# main: of all models but those of `other_pixels` in params.yaml.
Images = Literal["main", "other"]


@dataclass(frozen=True)
class PixelsParams:
    """The two sizes, in pixels; the paper has 256 and, in table 2, 512. The tokenizer compresses by 16."""

    main: int
    other: int

    def __post_init__(self) -> None:
        """Check the ranges, and that the two differ."""
        check(self, main=multiple_of(16), other=multiple_of(16))
        if self.main == self.other:
            raise ValueError(f"other is {self.other}; expected another size than main")
