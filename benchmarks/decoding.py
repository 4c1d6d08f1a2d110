"""K-lane decoding of action chunks against the sequential way, in one process, on random weights.

    python -m benchmarks.decoding

Both decode the same prompts greedily under the action mask. ``obvious`` is what the release does, with transformers' model:
one token per forward (9 K + 1 of them), growing cache, batch 1, skeleton tokens decoded like any other.
"""

import torch
from transformers import ChameleonForConditionalGeneration, DynamicCache

from benchmarks.clock import seconds
from benchmarks.random_models import random_model
from benchmarks.theirs import additive, theirs
from worldvla.layout import Kind, Layout, Segment
from worldvla.masks import lanes, mask_of
from worldvla.model.config import ChameleonConfig
from worldvla.model.decoding import decode_lanes
from worldvla.vocabulary import compact

IDS = compact(num_text=300, num_codes=512)
SIZES = {"mini": ChameleonConfig(IDS.size, 128, 3, 2, 352), "d256 L6": ChameleonConfig(IDS.size, 256, 6, 4, 704)}
PREFIX = 92  # text, two images of 36 codes, separator
BATCH = 8


@torch.inference_mode()
def decode_obviously(model: ChameleonForConditionalGeneration, prompts: torch.Tensor, chunk: int) -> None:
    """Decode each prompt alone, one token per forward, each under its row of the whole mask."""
    prefix = prompts.shape[1]
    segments = [Segment(Kind.TEXT, 0, prefix)]
    segments += [Segment(Kind.ACTION, prefix + 9 * k, prefix + 9 * k + 9, predicted=True) for k in range(chunk)]
    layout = Layout((*segments, Segment(Kind.SEPARATOR, prefix + 9 * chunk, prefix + 9 * chunk + 1)))
    mask = additive(mask_of(torch.from_numpy(lanes("action", layout))[None].to(prompts.device)), model.dtype)
    for prompt in prompts:
        cache, pending = DynamicCache(config=model.config), prompt[None]
        for stop in range(prefix, prefix + 9 * chunk + 1):
            rows = mask[:, :, stop - pending.shape[1] : stop, :stop]
            output = model.model(input_ids=pending, attention_mask=rows, past_key_values=cache, use_cache=True)
            hidden = output.last_hidden_state
            pending = model.lm_head(hidden[:, -1:]).argmax(-1)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print(
        f"{'model':8} {'K':>3} {'lanes ms':>9} {'obvious ms':>11} {'ratio':>6}    (per chunk, batch {BATCH}, one thread)"
    )
    for name, size in SIZES.items():
        model = random_model(size)
        other = theirs(model)
        prompts = torch.randint(1, IDS.size, (BATCH, PREFIX))
        for chunk in (5, 10, 25):
            lanes = seconds(lambda: decode_lanes(model, IDS, prompts, chunk)) / BATCH  # noqa: B023
            obvious = seconds(lambda: decode_obviously(other, prompts[:2], chunk)) / 2  # noqa: B023
            print(f"{name:8} {chunk:3} {lanes * 1e3:9.2f} {obvious * 1e3:11.2f} {obvious / lanes:6.1f}")


if __name__ == "__main__":
    main()
