"""Params of the train stage."""

from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import POSITIVE, at_least, between, check, multiple_of
from worldvla.params.tokenizer import Vocabulary

Mask = Literal["causal", "action"]
Prompt = Literal["release"]


@dataclass(frozen=True)
class TrainParams:
    """One model: its samples, its size and its training."""

    vocabulary: Vocabulary
    # Wording around the instruction; release: the released code's.
    prompt: Prompt
    # Actions per answer (K) and images per observation (M).
    chunk: int
    history: int
    # causal: every token sees all earlier ones. action: an action of the answer does not see the other actions.
    mask: Mask
    # List of episodes to train on.
    split: Literal["train"]
    # Width, layers, heads and feed-forward width of the transformer; Chameleon 7 B has 4096, 32, 32 and 11008.
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    # Optimizer steps and samples per step.
    steps: int
    batch: int
    # AdamW's rate: linear warm-up over warmup_steps, constant, then from decay_start (a fraction of all steps) linear
    # to 0.
    learning_rate: float
    warmup_steps: int
    decay_start: float
    weight_decay: float
    # Largest norm of the gradient.
    clip: float
    # Weight of the z-loss; the release has 1e-5.
    z_loss: float
    # Weight of an image code in the mean cross-entropy (alpha); the paper has 0.04.
    image_weight: float
    # Steps between validations, and between checkpoints to resume from.
    validate_every: int
    checkpoint_every: int
    # Longest sequence in tokens that the model is made for.
    max_length: int
    # Of the initial weights and of the order of the samples.
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges, and that the sizes suit each other."""
        check(
            self,
            chunk=at_least(1),
            history=at_least(1),
            # Two halves per head: rotary embeddings turn pairs.
            hidden_size=multiple_of(2 * self.num_heads) if self.num_heads > 0 else at_least(1),
            num_layers=at_least(1),
            num_heads=at_least(1),
            intermediate_size=at_least(1),
            steps=at_least(1),
            batch=at_least(1),
            learning_rate=POSITIVE,
            warmup_steps=between(0, self.steps),
            decay_start=between(0, 1),
            weight_decay=at_least(0),
            clip=POSITIVE,
            z_loss=at_least(0),
            image_weight=at_least(0),
            validate_every=at_least(1),
            checkpoint_every=at_least(1),
            max_length=at_least(1),
            seed=at_least(0),
        )
