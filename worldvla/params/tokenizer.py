"""Params of the tokenizer stage: the image tokenizer (a VQ-GAN) and the text tokenizer."""

import math
from dataclasses import dataclass
from typing import Literal

from worldvla.params.ranges import POSITIVE, at_least, check, multiple_of

# chameleon: the published 65,536 ids. compact: only the ids that a small model needs, tokenizers trained here.
Vocabulary = Literal["chameleon", "compact"]
# Bins of the actions: fitted to the training actions, or a published table: the release's, or its successor's.
Actions = Literal["fitted", "release", "successor"]

PUBLISHED = "published"  # in the place of a file's name: the one that the hub has
CHAMELEON_CODES = 8192  # entries of the published codebook
# Sizes of the published VQ-GAN.
CHAMELEON = {
    "num_codes": CHAMELEON_CODES,
    "code_dim": 256,
    "base_channels": 128,
    "patch": 1,
    "channel_multiplier": (1, 1, 2, 2, 4),
    "num_res_blocks": 2,
    "norm_groups": 32,
}
COMPRESSION = 16  # pixels per code, along one side


@dataclass(frozen=True)
class TokenizerParams:
    """Sizes and training of the tokenizers."""

    vocabulary: Vocabulary
    # Side of the images in pixels.
    pixels: int
    # Codebook entries and the width of each; Chameleon has 8192 x 256.
    num_codes: int
    code_dim: int
    # Width of the first convolution; Chameleon has 128.
    base_channels: int
    # Side of the squares of pixels that become channels before the first convolution. Chameleon has 1; a small model on a
    # CPU spends its time at full resolution otherwise.
    patch: int
    # Width of each level as a multiple of base_channels; every level but the first halves the image, so that all of them
    # and the patch compress by 16. Chameleon has 1 1 2 2 4.
    channel_multiplier: tuple[int, ...]
    # Residual blocks per level; Chameleon has 2.
    num_res_blocks: int
    # Groups of the group normalisation; Chameleon has 32.
    norm_groups: int
    # Entries of the text tokenizer at most; a byte-level BPE trained on the instructions, 256 of them single bytes.
    text_size: int
    # File of a published text tokenizer (of the `tokenizers` library), or `published`: Chameleon's, fetched. Without it one
    # is trained here.
    text_file: str | None
    # The range that the bins of actions divide.
    actions: Actions
    # Folder or file with published weights of these very sizes, used as they are, or `published`: Chameleon's, fetched.
    # Without it the VQ-GAN is trained here.
    weights: str | None
    # How much more a pixel counts that differs from the suite's median frame: 1 + this. The rest is background.
    foreground_weight: float
    # Width of the patch discriminator's first convolution.
    discriminator_channels: int
    # First step at which the discriminator's loss counts; above `steps` it never does.
    discriminator_start: int
    # Norm of the discriminator's gradient at the decoder's last layer, as a share of the other losses' own.
    discriminator_weight: float
    # File with VGG-16 weights for the perceptual loss; without it the reconstruction loss is L1 alone.
    perceptual_weights: str | None
    # Optimizer steps, images per step, and Adam's rate.
    steps: int
    batch: int
    learning_rate: float
    # Steps between checkpoints of an interrupted training.
    checkpoint_every: int
    # Of the initial weights and of the order of the images.
    seed: int
    # Sha256 of the files named above, by param, as they were resolved (worldvla/params/recorded.py).
    digests: dict[str, str]

    def __post_init__(self) -> None:
        """Check the ranges, and that the widths suit each other."""
        check(
            self,
            pixels=multiple_of(16),
            num_codes=at_least(2),
            code_dim=at_least(1),
            base_channels=multiple_of(self.norm_groups) if self.norm_groups > 0 else at_least(1),
            channel_multiplier=at_least(1),
            num_res_blocks=at_least(1),
            norm_groups=at_least(1),
            text_size=at_least(257),
            foreground_weight=at_least(0),
            discriminator_channels=at_least(1),
            discriminator_start=at_least(0),
            discriminator_weight=at_least(0),
            steps=at_least(1),
            batch=at_least(1),
            learning_rate=POSITIVE,
            checkpoint_every=at_least(1),
            seed=at_least(0),
        )
        if self.patch not in (1, 2, 4, 8):
            raise ValueError(f"patch is {self.patch}; expected one of 1, 2, 4, 8")
        levels, expected = len(self.channel_multiplier), int(math.log2(COMPRESSION / self.patch)) + 1
        if levels != expected:
            raise ValueError(
                f"channel_multiplier has {levels} levels; expected {expected}, which compress by {COMPRESSION} "
                f"with patch {self.patch}"
            )
        if self.vocabulary == "chameleon" and self.num_codes != CHAMELEON_CODES:
            raise ValueError(
                f"num_codes is {self.num_codes}; the chameleon vocabulary has {CHAMELEON_CODES}, use it or compact"
            )
        if self.vocabulary == "chameleon" and self.text_file is None:
            raise ValueError(
                "text_file is null; the chameleon vocabulary needs the published text tokenizer: make it published, or name "
                "its file"
            )
        if self.weights == PUBLISHED:
            for name, size in CHAMELEON.items():
                if getattr(self, name) != size:
                    raise ValueError(
                        f"{name} is {getattr(self, name)}; the published weights have {size}: use it, or make weights null"
                    )
