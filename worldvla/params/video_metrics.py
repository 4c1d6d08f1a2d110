"""Params of the video_metrics stage."""

from dataclasses import dataclass

from worldvla.params.ranges import at_least, check


@dataclass(frozen=True)
class VideoMetricsParams:
    """How predicted clips are scored."""

    # Variants whose predictions are scored.
    models: tuple[str, ...]
    # Lengths in frames, the given first frame included; those of the prediction.
    horizons: tuple[int, ...]
    # File with the Kinetics-400 weights of I3D; without it features are random, and the distance is not called FVD.
    i3d_weights: str | None
    # Side to which frames are scaled for random features; published weights take 224.
    i3d_pixels: int
    # Files with torchvision's ImageNet weights, for LPIPS; without one it is not computed.
    lpips_vgg: str | None
    lpips_alex: str | None
    # Clips of which the frames are kept as pictures, the first of every task first.
    num_films: int
    # Of the bootstrap and of random features.
    seed: int
    # Sha256 of the files named above, by param, as they were resolved (worldvla/params/recorded.py).
    digests: dict[str, str]

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(
            self,
            i3d_pixels=at_least(32),
            num_films=at_least(0),
            seed=at_least(0),
        )
