"""Who sees whom. Masks are boolean, True where a query may see a key; ``picture`` prints them.

causal        the usual triangle
action        the paper's (section 3.3, figure 3): an answered action sees the text, the images, the separator and
              itself, but no other action, so that a wrong action cannot spoil the next
"""

import functools
import itertools

import torch
from torch import Tensor

from worldvla.layout import Layout


def causal_mask(layout: Layout) -> Tensor:
    """Return the boolean [query, key] triangle of a layout."""
    return torch.ones(layout.length, layout.length, dtype=torch.bool).tril()


def action_mask(layout: Layout) -> Tensor:
    """Return the causal mask in which an answered action (BOA to EOA) cannot see any earlier action.

    Source: mode "3" of the released ``generate_att_mask_3``, whose trigger is "after the last image"; being answered
    is the same set of actions in action and world samples. A world sample, whose actions are given, and a video sample,
    which has none, stay causal. The separator at the end is no action and sees everything.
    """
    mask = causal_mask(layout)
    for key, query in itertools.combinations(layout.actions, 2):
        if query.predicted:
            mask[query.start : query.stop, key.start : key.stop] = False
    return mask


MASKS = {"causal": causal_mask, "action": action_mask}


@functools.lru_cache(maxsize=256)
def mask_of(name: str, layout: Layout) -> Tensor:
    """Return the mask called ``name`` of a layout; the tensor is shared, do not write into it."""
    return MASKS[name](layout)


def picture(mask: Tensor) -> list[str]:
    """Return one string per query, ``#`` where it sees the key and ``.`` where it does not."""
    return ["".join("#" if seen else "." for seen in row) for row in mask.tolist()]
