"""Prediction of frames against the obvious way, in one process, on random weights.

    python -m benchmarks.generation

Both draw the same codes. ``obvious`` is what a call of ``generate`` of transformers' model does: one token per forward, markers
included, batch 1, a growing cache, scores of the whole vocabulary with all but codes struck out.
"""

import numpy as np
import torch
from transformers import ChameleonForConditionalGeneration, DynamicCache

from benchmarks.clock import seconds
from benchmarks.random_models import random_model
from benchmarks.theirs import theirs
from worldvla.model.config import ChameleonConfig
from worldvla.model.decoding import decode_image
from worldvla.vocabulary import Vocabulary, compact

IDS = compact(num_text=400, num_codes=512)
SIZES = {"mini": ChameleonConfig(IDS.size, 128, 3, 2, 352), "d256 L6": ChameleonConfig(IDS.size, 256, 6, 4, 704)}
PREFIX = 65  # text, an image of 36 codes, an action, separator
NUM_CODES = 36
BATCH = 56
OBVIOUS = 2  # of them, one by one


@torch.inference_mode()
def decode_obviously(model: ChameleonForConditionalGeneration, ids: Vocabulary, prompts: torch.Tensor) -> torch.Tensor:
    """Decode one image per prompt, each alone, one token per forward; return the codes [batch, n]."""
    block = ids.image(np.zeros(NUM_CODES, int)).tolist()
    images = []
    for prompt in prompts:
        cache, pending, codes = DynamicCache(config=model.config), prompt[None], []
        for token in block:
            output = model.model(input_ids=pending, past_key_values=cache, use_cache=True)
            scores = model.lm_head(output.last_hidden_state[:, -1])
            if token == ids.first_code:
                allowed = torch.full_like(scores, -torch.inf)
                allowed[:, ids.first_code : ids.first_code + ids.num_codes] = 0
                token = int((scores + allowed).argmax(-1))
                codes.append(token - ids.first_code)
            pending = torch.tensor([[token]])
        images.append(codes)
    return torch.tensor(images)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print(f"{'model':8} {'ours ms':>8} {'obvious ms':>11} {'ratio':>6}    (per frame, batch {BATCH}, one thread)")
    for name, size in SIZES.items():
        model = random_model(size)
        other = theirs(model)
        prompts = torch.randint(1, IDS.size, (BATCH, PREFIX))
        assert torch.equal(
            decode_image(model, IDS, prompts[:OBVIOUS], NUM_CODES), decode_obviously(other, IDS, prompts[:OBVIOUS])
        )
        ours = seconds(lambda: decode_image(model, IDS, prompts, NUM_CODES)) / BATCH  # noqa: B023
        obvious = seconds(lambda: decode_obviously(other, IDS, prompts[:OBVIOUS])) / OBVIOUS  # noqa: B023
        print(f"{name:8} {ours * 1e3:8.2f} {obvious * 1e3:11.2f} {obvious / ours:6.1f}")


if __name__ == "__main__":
    main()
