"""Windows of an episode as token sequences with labels.

Sources: paper section 3.2; the released sample generators (windows that would run past the end are dropped; the first
step of an episode has one image, whatever the history) and item processor (labels on the answer only).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worldvla.layout import Kind, Layout, Segment
from worldvla.vocabulary import Tokens, Vocabulary

IGNORED = -100  # the label of a token that carries no loss, as in torch and transformers

PROMPTS = {"release": "What action should the robot take to {task}?"}


@dataclass(frozen=True)
class Sample:
    """One training sequence: tokens [S], labels [S] (``IGNORED`` before the answer) and where everything sits."""

    tokens: Tokens
    labels: Tokens
    layout: Layout


@dataclass
class _Builder:
    """Appends segments and keeps count of the positions."""

    vocabulary: Vocabulary
    parts: list[Tokens] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def add(self, kind: Kind, tokens: Tokens, predicted: bool = False) -> None:
        start = self.segments[-1].stop if self.segments else 0
        self.parts.append(tokens)
        self.segments.append(Segment(kind, start, start + tokens.size, predicted))

    def separator(self, predicted: bool = False) -> None:
        self.add(Kind.SEPARATOR, np.array([self.vocabulary.separator], dtype=np.int64), predicted)

    def sample(self) -> Sample:
        tokens = np.concatenate(self.parts)
        labels = np.full_like(tokens, IGNORED)
        for segment in self.segments:
            if segment.predicted:
                labels[segment.start : segment.stop] = tokens[segment.start : segment.stop]
        return Sample(tokens, labels, Layout(tuple(self.segments)))


def action_prompt(vocabulary: Vocabulary, text: list[int], images: Sequence[NDArray[np.integer]]) -> Tokens:
    """Return ``BOS text [image] x M SEP``, what an action model reads before it answers.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        images: row-major codes [n] of each frame, oldest first.
    """
    separator = np.array([vocabulary.separator], dtype=np.int64)
    return np.concatenate([vocabulary.text(text), *(vocabulary.image(codes) for codes in images), separator])


def action_sample(
    vocabulary: Vocabulary, text: list[int], images: Sequence[NDArray[np.integer]], bins: NDArray[np.integer]
) -> Sample:
    """Return ``BOS text [image] x M SEP [BOA 7 bins EOA] x K SEP`` with labels from the first BOA on.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        images: row-major codes [n] of each frame, oldest first.
        bins: [K, 7] action bins.
    """
    builder = _Builder(vocabulary)
    builder.add(Kind.TEXT, vocabulary.text(text))
    for codes in images:
        builder.add(Kind.IMAGE, vocabulary.image(codes))
    builder.separator()
    for action in bins:
        builder.add(Kind.ACTION, vocabulary.action(action), predicted=True)
    builder.separator(predicted=True)
    return builder.sample()


def action_windows(num_steps: int, chunk: int, history: int) -> list[tuple[range, range]]:
    """Return (image steps, action steps) of every window of an episode of ``num_steps``.

    Step j answers with actions j .. j+chunk-1 and reads the frames max(0, j-history+1) .. j. Windows that would run past
    the end are dropped.

    Raises:
        ValueError: ``chunk`` or ``history`` is below 1.
    """
    if chunk < 1 or history < 1:
        raise ValueError(f"windows: got chunk {chunk} and history {history}, expected both at least 1")
    return [
        (range(max(0, step - history + 1), step + 1), range(step, step + chunk))
        for step in range(num_steps - chunk + 1)
    ]
