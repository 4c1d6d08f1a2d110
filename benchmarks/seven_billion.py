"""Models of the published size on a GPU: queries and frames, with random weights.

    python -m benchmarks.seven_billion

``obvious`` is the release's way with transformers' model: one token per forward, a growing cache, batch 1.
"""

import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from benchmarks.clock import seconds
from benchmarks.decoding import decode_obviously
from benchmarks.random_models import random_model
from benchmarks.theirs import theirs
from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.decoding import decode_image, decode_lanes
from worldvla.model.graphs import Graphs
from worldvla.sequences import action_prompt, world_prompt
from worldvla.vocabulary import CHAMELEON

SEVEN_B = ChameleonConfig(CHAMELEON.size, 4096, 32, 32, 11_008)
TEXT = [16_400] * 20
SIDES = (256, 512)
CLIPS = 32


def codes(side: int, number: int) -> np.ndarray:
    """Return the codes of some images."""
    return np.random.default_rng(0).integers(0, CHAMELEON.num_codes, (number, (side // 16) ** 2))


def queries(
    model: Chameleon, sides: tuple[int, ...], histories: tuple[int, ...], chunks: tuple[int, ...]
) -> Iterator[str]:
    """Yield a line per kind of query: milliseconds per query of ours, with graphs, and the obvious way."""
    device = model.lm_head.weight.device
    other = theirs(model)
    for side in sides:
        for history in histories:
            prompt = torch.from_numpy(action_prompt(CHAMELEON, TEXT, codes(side, history))).to(device)
            for chunk in chunks:
                obvious = seconds(synchronised(partial(decode_obviously, other, prompt[None], chunk), device))
                for batch in (1, 10):
                    prompts = prompt.expand(batch, -1)
                    lanes = partial(decode_lanes, model, CHAMELEON, chunk=chunk)
                    recorded = Graphs(lanes)
                    assert torch.equal(recorded(prompts), lanes(prompts))
                    plain, graphs = (
                        seconds(synchronised(partial(way, prompts), device)) / batch for way in (lanes, recorded)
                    )
                    cells = f"{plain * 1e3:8.1f} {graphs * 1e3:8.1f} {obvious * 1e3:8.1f} {obvious / graphs:6.1f}"
                    yield f"{side:4} px  M {history}  K {chunk:2}  batch {batch:2}  {cells}"


def frames(model: Chameleon, sides: tuple[int, ...], clips: int) -> Iterator[str]:
    """Yield a line per size of images: predicted frames per second."""
    device = model.lm_head.weight.device
    for side in sides:
        prompt = torch.from_numpy(world_prompt(CHAMELEON, TEXT, codes(side, 1)[0], np.zeros(7, np.int64))).to(device)
        draw = partial(decode_image, model, CHAMELEON, prompt.expand(clips, -1), (side // 16) ** 2)
        yield f"{side:4} px  {clips} clips  {clips / seconds(synchronised(draw, device)):8.2f} frames/s"


def synchronised(run: partial, device: torch.device) -> partial[None]:
    """Return a call that ends when the device has done it."""

    def wait() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return partial(wait)


def main() -> None:
    """Print two tables."""
    if not torch.cuda.is_available():
        sys.exit("seven_billion: no GPU here; expected one of 80 GB with bf16; run it where there is one")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bf16")
    model = random_model(SEVEN_B, "cuda", torch.bfloat16)
    print(f"{'ms per query':34} {'ours':>8} {'graphs':>8} {'obvious':>8} {'ratio':>6}")
    for line in queries(model, SIDES, (1, 2, 4), (5, 10)):
        print(line, flush=True)
    for line in frames(model, SIDES, CLIPS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
