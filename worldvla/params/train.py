"""Params of the stages train and finetune."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import POSITIVE, at_least, between, check, multiple_of
from worldvla.params.tokenizer import Vocabulary

Mask = Literal["causal", "action"]
# action: answers with actions. world: with the frames after given actions. video: with future frames, from the
# instruction alone.
SampleKind = Literal["action", "world", "video"]
# Episodes to train on: those of the split's training part, or the held-out ones too (table 2).
Episodes = Literal["train", "all"]
# Where the released code and the paper differ, which of the two is followed.
Reading = Literal["release", "paper"]

Base = Literal["lumina", "chameleon"]


@dataclass(frozen=True)
class TrainParams:
    """One model: its samples, its size and its training."""

    vocabulary: Vocabulary
    # Kinds of samples, in one pool: an epoch has every window of every kind once.
    samples: tuple[SampleKind, ...]
    # Wording of the prompts.
    prompt: Reading
    # Whether instructions begin with the scene of the task's name, as LIBERO-Long's do in the release's training.
    scene_prefix: bool
    # Actions per answer (K), and images per observation (M).
    chunk: int
    history: int
    # Frames per answer of a video sample; null: as many as actions, as the paper writes; null without such samples.
    future: int | None
    # Rounds of a world sample (N): pairs of a given image and action, and the next image; null without such samples.
    rounds: int | None
    # causal: every token sees all earlier ones. action: an action of the answer does not see the other actions.
    mask: Mask
    episodes: Episodes
    # Width, layers, heads and feed-forward width of the transformer; Chameleon 7 B has 4096, 32, 32 and 11008.
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    # Size (RMS) of what tells an embedding its position, besides the rotary positions; 0 in Chameleon. A model of a million
    # parameters that starts from nothing has no time to learn from the rotary ones alone where in an image a code is.
    position_rms: float
    # Published weights to begin with instead of random ones: Chameleon 7 B as Lumina-mGPT has it, from which the release
    # began, or as its owner gives it. Null: random.
    base: Base | None
    # How long, one of the two: optimizer steps for each kind of samples, so that a model of two kinds sees each as often as a
    # model of one; or how often every sample is seen, as the release counts (40), from which steps follow by the suite.
    steps: int | None
    epochs: int | None
    # How often that.
    times: int
    # Samples per step, of all processes that share a training.
    batch: int
    # AdamW's rate: linear warm-up over warmup_steps, constant, then from decay_start (a fraction of all steps) linear
    # to 0.
    learning_rate: float
    # Muon's rate for the matrices of the layers, on the same schedule; null: AdamW changes them too, as in the release.
    muon_learning_rate: float | None
    warmup_steps: int
    decay_start: float
    weight_decay: float
    # Share of what attention and MLP add that is dropped; the release has 0.05.
    dropout: float
    # Largest norm of the gradient.
    clip: float
    # Weight of the z-loss; the release has 1e-5.
    z_loss: float
    # The paper's factor of image codes, 0.04, and what it multiplies. release: each code's part of one weighted mean;
    # paper: the whole loss of the samples that answer with images (equation 4). Null without such samples.
    alpha: float | None
    alpha_on: Reading | None
    # Steps between validations, and between checkpoints to resume from.
    validate_every: int
    checkpoint_every: int
    # Threads of a training on a CPU. Its bytes depend on them, so they are not the machine's to choose.
    threads: int
    # Of the initial weights and of the order of the samples.
    seed: int

    @property
    def num_future(self) -> int:
        """Frames per answer of a video sample."""
        return self.future or self.chunk

    def num_steps(self, num_samples: int) -> int:
        """Return the optimizer steps in all, of a training on so many samples; an epoch's remainder is dropped."""
        if self.epochs is not None:
            return self.times * self.epochs * max(1, num_samples // self.batch)
        assert self.steps is not None, "one of the two is given"
        return self.times * self.steps * len(self.samples)

    def __post_init__(self) -> None:
        """Check the ranges, and that the sizes suit each other."""
        check(
            self,
            chunk=at_least(1),
            history=at_least(1),
            future=at_least(1),
            rounds=at_least(1),
            # Two halves per head: rotary embeddings turn pairs.
            hidden_size=multiple_of(2 * self.num_heads) if self.num_heads > 0 else at_least(1),
            num_layers=at_least(1),
            num_heads=at_least(1),
            intermediate_size=at_least(1),
            position_rms=at_least(0),
            steps=at_least(1),
            epochs=at_least(1),
            times=at_least(1),
            batch=at_least(1),
            learning_rate=POSITIVE,
            muon_learning_rate=POSITIVE,
            warmup_steps=at_least(0) if self.steps is None else between(0, self.times * self.steps * len(self.samples)),
            decay_start=between(0, 1),
            weight_decay=at_least(0),
            dropout=between(0, 1),
            clip=POSITIVE,
            z_loss=at_least(0),
            alpha=at_least(0),
            validate_every=at_least(1),
            checkpoint_every=at_least(1),
            threads=at_least(1),
            seed=at_least(0),
        )
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"steps is {self.steps} and epochs is {self.epochs}; expected one of them, and null for the other"
            )
        if self.base is not None and self.position_rms:
            raise ValueError(
                f"position_rms is {self.position_rms}; expected 0, as the base {self.base} learned without it"
            )
        if self.base is not None and self.vocabulary != "chameleon":
            raise ValueError(
                f"base is {self.base}; expected null, as the vocabulary is {self.vocabulary} and not that of published weights"
            )


@dataclass(frozen=True)
class FinetuneParams(TrainParams):
    """A model that starts from the weights of another."""

    # Variant whose weights on the same suite it starts from.
    start: str
