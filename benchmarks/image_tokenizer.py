"""The image tokenizer: encoding in batches against one image at a time, and decoding, on random weights.

    python -m benchmarks.image_tokenizer

One thread, fp32. A rollout encodes every frame that it observes; ``one`` is what encoding each on its own would cost.
``patch 1`` is the same network at full resolution, as published but narrower.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig

PIXELS = 96
IMAGES = 64
REPEATS = 5
CONFIGS = {
    "mini, patch 4": VQGANConfig(512, 16, 32, (1, 2, 4), 1, 4, patch=4),
    "patch 8": VQGANConfig(512, 16, 64, (1, 2), 1, 4, patch=8),
    "patch 1": VQGANConfig(512, 16, 16, (1, 1, 2, 4, 6), 1, 2, patch=1),
}


def rate(run: Callable[[np.ndarray], object], *batches: np.ndarray) -> float:
    """Return images per second: the median of passes over the batches after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        for batch in batches:
            run(batch)
        times.append(time.perf_counter() - start)
    return IMAGES / statistics.median(times[1:])


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    frames = np.random.default_rng(0).integers(0, 256, (IMAGES, PIXELS, PIXELS, 3), dtype=np.uint8)
    print(
        f"{'model':14} {'encode':>7} {'one':>5} {'ratio':>6} {'decode':>7}    (images of {PIXELS} px per second, one thread)"
    )
    for name, config in CONFIGS.items():
        tokenizer = ImageTokenizer(VQGAN(config), PIXELS)
        batched = rate(tokenizer.encode, frames)
        alone = rate(tokenizer.encode, *np.split(frames, IMAGES))
        decoded = rate(tokenizer.decode, tokenizer.encode(frames))
        print(f"{name:14} {batched:7.0f} {alone:5.0f} {batched / alone:6.2f} {decoded:7.0f}")


if __name__ == "__main__":
    main()
