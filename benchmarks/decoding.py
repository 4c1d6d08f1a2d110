"""K-lane decoding of action chunks against the sequential way, in one process, on random weights.

    python -m benchmarks.decoding

Both decode the same prompts greedily under the action mask and choose the same tokens. ``obvious`` is what the release
does: one token per forward (9 K + 1 of them), growing cache, batch 1, skeleton tokens decoded like any other.
"""

import torch
from transformers import DynamicCache

from benchmarks.clock import seconds
from worldvla.layout import Kind, Layout, Segment
from worldvla.masks import action_mask
from worldvla.model import chameleon
from worldvla.model.decoding import decode_lanes
from worldvla.vocabulary import compact

SIZES = {"mini": chameleon.ModelSize(128, 3, 2, 352), "d256 L6": chameleon.ModelSize(256, 6, 4, 704)}
PREFIX = 92  # text, two images of 36 codes, separator
BATCH = 8


@torch.inference_mode()
def decode_obviously(model: chameleon.ChameleonForConditionalGeneration, prompts: torch.Tensor, chunk: int) -> None:
    """Decode each prompt alone, one token per forward, each under its row of the whole mask."""
    prefix = prompts.shape[1]
    segments = [Segment(Kind.TEXT, 0, prefix)]
    segments += [Segment(Kind.ACTION, prefix + 9 * k, prefix + 9 * k + 9, predicted=True) for k in range(chunk)]
    mask = action_mask(Layout((*segments, Segment(Kind.SEPARATOR, prefix + 9 * chunk, prefix + 9 * chunk + 1))))
    for prompt in prompts:
        cache, pending = DynamicCache(config=model.config), prompt[None]
        for stop in range(prefix, prefix + 9 * chunk + 1):
            rows = mask[None, stop - pending.shape[1] : stop, :stop]
            hidden = chameleon.hidden_states(model, pending, rows, cache=cache)
            pending = model.lm_head(hidden[:, -1:]).argmax(-1)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    ids = compact(num_text=300, num_codes=512)
    print(
        f"{'model':8} {'K':>3} {'lanes ms':>9} {'obvious ms':>11} {'ratio':>6}    (per chunk, batch {BATCH}, one thread)"
    )
    for name, size in SIZES.items():
        torch.manual_seed(0)
        model = chameleon.build(size, ids).eval()
        prompts = torch.randint(1, ids.size, (BATCH, PREFIX))
        for chunk in (5, 10, 25):
            lanes = seconds(lambda: decode_lanes(model, ids, prompts, chunk)) / BATCH  # noqa: B023
            obvious = seconds(lambda: decode_obviously(model, prompts[:2], chunk)) / 2  # noqa: B023
            print(f"{name:8} {chunk:3} {lanes * 1e3:9.2f} {obvious * 1e3:11.2f} {obvious / lanes:6.1f}")


if __name__ == "__main__":
    main()
