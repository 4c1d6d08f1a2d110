"""Who sees whom. Masks are boolean, True where a query may see a key; ``picture`` prints them.

causal        the usual triangle
action        the paper's (section 3.3, figure 3): an answered action sees the text, the images, the separator and
              itself, but no other action, so that a wrong action cannot spoil the next

A sample carries its mask as one lane per token, and a mask of length x length is made where it is used.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worldvla.layout import Layout

SHARED = 0  # the lane of tokens that see, and are seen by, all lanes


def lanes(mask: str, layout: Layout) -> NDArray[np.int16]:
    """Return the lane of every token [length] under the mask called ``mask``.

    Under ``action`` the n-th answered action (BOA to EOA) is in lane n, from 1; all else is in the shared one. A world
    sample, whose actions are given, and a video sample, which has none, have no lane of their own and stay causal.

    Source: mode "3" of the released ``generate_att_mask_3``, whose trigger is "after the last image"; being answered is the
    same set of actions in action and world samples. The separator at the end is no action and sees everything.
    """
    if mask not in ("causal", "action"):
        raise ValueError(f"mask: got '{mask}', expected 'causal' or 'action'")
    out = np.full(layout.length, SHARED, np.int16)
    if mask == "action":
        answered = (segment for segment in layout.actions if segment.predicted)
        for number, segment in enumerate(answered, start=1):
            out[segment.start : segment.stop] = number
    return out


def mask_of(lanes: Tensor) -> Tensor:
    """Return who sees whom [batch, query, key] of lanes [batch, length]: earlier tokens of the same or the shared lane."""
    query, key = lanes[:, :, None], lanes[:, None]
    return ((query == key) | (query == SHARED) | (key == SHARED)).tril()


def picture(mask: Tensor) -> list[str]:
    """Return one string per query, ``#`` where it sees the key and ``.`` where it does not."""
    return ["".join("#" if seen else "." for seen in row) for row in mask.tolist()]
