"""Windows of an episode as token sequences with labels.

    action   BOS text [image] x M SEP [BOA 7 bins EOA] x K SEP
    world    BOS text ([image] [BOA 7 bins EOA] SEP [image] SEP) x N
    video    BOS text [image] x M SEP [image] x K SEP

Sources: paper section 3.3 and figure 7's text; the released sample generators (windows that would run past the end are
dropped; the first step of an episode has one image, whatever the history) and item processor (labels on the answers only,
their markers and separators included). The release has no video sample.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worldvla.layout import Kind, Layout, Segment
from worldvla.vocabulary import Tokens, Vocabulary

Codes = NDArray[np.integer]  # of one frame, row by row

IGNORED = -100  # the label of a token that carries no loss, as in torch and transformers

# Which prompts -> kind of sample -> text. "release" has the sentences of the released sample generators; the released
# world-model script then asks with a third one ("Generate the image based on the current image and the action."), where
# we ask as in training. Video prediction is in the paper alone.
_ACTION = "What action should the robot take to {task}?"
_VIDEO = "Generate the future image based on the task and current image. {task}"
PROMPTS = {
    "release": {
        "action": _ACTION,
        "world": "Generate the next image based on the provided sequence of historical images and corresponding actions.",
        "video": _VIDEO,
    },
    "paper": {
        "action": _ACTION,
        "world": "Generate the next frame based on the current image and the action.",
        "video": _VIDEO,
    },
}


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

    def text(self, ids: list[int]) -> None:
        self.add(Kind.TEXT, self.vocabulary.text(ids))

    def images(self, images: Iterable[Codes], predicted: bool = False) -> None:
        for codes in images:
            self.add(Kind.IMAGE, self.vocabulary.image(codes), predicted)

    def actions(self, bins: Iterable[NDArray[np.integer]], predicted: bool = False) -> None:
        for action in bins:
            self.add(Kind.ACTION, self.vocabulary.action(action), predicted)

    def separator(self, predicted: bool = False) -> None:
        self.add(Kind.SEPARATOR, np.array([self.vocabulary.separator], dtype=np.int64), predicted)

    def sample(self) -> Sample:
        tokens = np.concatenate(self.parts)
        labels = np.full_like(tokens, IGNORED)
        for segment in self.segments:
            if segment.predicted:
                labels[segment.start : segment.stop] = tokens[segment.start : segment.stop]
        return Sample(tokens, labels, Layout(tuple(self.segments)))


def action_prompt(vocabulary: Vocabulary, text: list[int], images: Iterable[Codes]) -> Tokens:
    """Return ``BOS text [image] x M SEP``, what an action model reads before it answers.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        images: row-major codes [n] of each frame, oldest first.
    """
    builder = _Builder(vocabulary)
    builder.text(text)
    builder.images(images)
    builder.separator()
    return builder.sample().tokens


def world_prompt(vocabulary: Vocabulary, text: list[int], image: Codes, bins: NDArray[np.integer]) -> Tokens:
    """Return ``BOS text [image] [BOA 7 bins EOA] SEP``, what a world model reads before it draws the next frame.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        image: row-major codes [n] of the frame.
        bins: [7] action bins.
    """
    builder = _Builder(vocabulary)
    builder.text(text)
    builder.images([image])
    builder.actions([bins])
    builder.separator()
    return builder.sample().tokens


def action_sample(
    vocabulary: Vocabulary, text: list[int], images: Iterable[Codes], bins: NDArray[np.integer]
) -> Sample:
    """Return ``BOS text [image] x M SEP [BOA 7 bins EOA] x K SEP`` with labels from the first BOA on.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        images: row-major codes [n] of each frame, oldest first.
        bins: [K, 7] action bins.
    """
    builder = _Builder(vocabulary)
    builder.text(text)
    builder.images(images)
    builder.separator()
    builder.actions(bins, predicted=True)
    builder.separator(predicted=True)
    return builder.sample()


def world_sample(vocabulary: Vocabulary, text: list[int], images: Iterable[Codes], bins: NDArray[np.integer]) -> Sample:
    """Return ``BOS text ([image] [BOA 7 bins EOA] SEP [image] SEP) x N`` with labels on every second image and its SEP.

    The paper has N = 1. A later round shows its first image again, as written in section 3.3: it is the one that the round
    before was asked for.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt from the text tokenizer.
        images: row-major codes [n] of N + 1 consecutive frames.
        bins: [N, 7] action bins; the n-th leads from the n-th frame to the next.
    """
    builder = _Builder(vocabulary)
    builder.text(text)
    for (before, after), action in zip(itertools.pairwise(images), bins, strict=True):
        builder.images([before])
        builder.actions([action])
        builder.separator()
        builder.images([after], predicted=True)
        builder.separator(predicted=True)
    return builder.sample()


def video_sample(vocabulary: Vocabulary, text: list[int], images: Iterable[Codes], future: Iterable[Codes]) -> Sample:
    """Return ``BOS text [image] x M SEP [image] x K SEP`` with labels from the first future image on.

    Args:
        vocabulary: the ids to use.
        text: ids of the prompt, which holds the instruction, from the text tokenizer.
        images: row-major codes [n] of each frame up to now, oldest first.
        future: row-major codes [n] of the next K frames.
    """
    builder = _Builder(vocabulary)
    builder.text(text)
    builder.images(images)
    builder.separator()
    builder.images(future, predicted=True)
    builder.separator(predicted=True)
    return builder.sample()


def action_windows(num_steps: int, chunk: int, history: int) -> list[tuple[range, range]]:
    """Return (image steps, action steps) of every action sample of an episode of ``num_steps``.

    Step j answers with actions j .. j+chunk-1 and reads the frames max(0, j-history+1) .. j. Windows that would run past
    the end are dropped.

    Raises:
        ValueError: ``chunk`` or ``history`` is below 1.
    """
    _check_windows(chunk=chunk, history=history)
    return [(_frames_up_to(step, history), range(step, step + chunk)) for step in range(num_steps - chunk + 1)]


def world_windows(num_steps: int, rounds: int) -> list[range]:
    """Return the steps of the given actions of every world sample of an episode of ``num_steps``.

    The frames of a sample are those of its steps and the one after; the last action of an episode leads to a frame that
    was not recorded.

    Raises:
        ValueError: ``rounds`` is below 1.
    """
    _check_windows(rounds=rounds)
    return [range(step, step + rounds) for step in range(num_steps - rounds)]


def video_windows(num_steps: int, future: int, history: int) -> list[tuple[range, range]]:
    """Return (image steps, future steps) of every video sample of an episode of ``num_steps``.

    Step j reads the frames max(0, j-history+1) .. j and answers with the frames j+1 .. j+future.

    Raises:
        ValueError: ``future`` or ``history`` is below 1.
    """
    _check_windows(future=future, history=history)
    return [(_frames_up_to(step, history), range(step + 1, step + future + 1)) for step in range(num_steps - future)]


def _frames_up_to(step: int, history: int) -> range:
    return range(max(0, step - history + 1), step + 1)


def _check_windows(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"windows: {name} is {size}; expected at least 1")
