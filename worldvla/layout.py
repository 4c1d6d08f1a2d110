"""Which tokens of a sample sit where.

Every sample is text, images, actions and separators in a row. A layout names those segments; masks, labels and
decoding are derived from it and nothing else counts positions.

    action sample   t i i | A A |     text, M images, SEP, K answered actions, SEP
    world sample    t i a | I |       text, image, action, SEP, the answered image, SEP; after the text N times
    video sample    t i i | I I |     text, M images, SEP, K answered images, SEP

Small letters are given, capitals are answered (they carry loss).
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a segment holds; the value is its letter in a picture."""

    TEXT = "t"
    IMAGE = "i"
    ACTION = "a"
    SEPARATOR = "|"


@dataclass(frozen=True)
class Segment:
    """Tokens [start, stop) of one kind, markers included; ``predicted`` ones carry loss."""

    kind: Kind
    start: int
    stop: int
    predicted: bool = False


@dataclass(frozen=True)
class Layout:
    """The segments of one sample, in order and without gaps."""

    segments: tuple[Segment, ...]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.segments[-1].stop

    @property
    def actions(self) -> tuple[Segment, ...]:
        """The action segments, in order."""
        return tuple(segment for segment in self.segments if segment.kind is Kind.ACTION)

    @property
    def answer(self) -> Kind:
        """What the sample answers with: actions or images."""
        return next(segment.kind for segment in self.segments if segment.predicted)

    @property
    def predicted_start(self) -> int:
        """Position of the first token that carries loss: everything before it is the prompt."""
        return next(segment.start for segment in self.segments if segment.predicted)

    def picture(self) -> str:
        """Return one letter per segment, capitals where it carries loss: ``t i i | A A |``."""
        letters = (s.kind.value.upper() if s.predicted else s.kind.value for s in self.segments)
        return " ".join(letters)
