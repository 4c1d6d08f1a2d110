"""Params of the encode stage."""

from dataclasses import dataclass

from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class EncodeParams:
    """How token shards are written."""

    # Episodes per tar file.
    episodes_per_shard: int
    # Frames per call of the image tokenizer.
    batch: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, episodes_per_shard=at_least(1), batch=at_least(1))
