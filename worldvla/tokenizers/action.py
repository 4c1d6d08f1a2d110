"""Robot actions as bins."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worldvla.files import write_json

NUM_EDGES = 256  # linspace(-1, 1, 256): 255 intervals; bin 255 is reached by clipped values only

# Low and high of the one table that each has for all suites (`item_processor.py`): three positions, three rotations,
# gripper.
PUBLISHED = {
    "release": (
        (-0.9375, -0.9375, -0.9375, -0.32571429, -0.375, -0.375, -1.0),
        (0.9375, 0.9375, 0.9375, 0.375, 0.375, 0.375, 1.0),
    ),
    # RynnVLA-002: "spatial, object, goal, 10 no_ops".
    "successor": (
        (-0.9375, -0.9375, -0.9375, -0.24214286, -0.375, -0.36428571, -1.0),
        (0.9375, 0.9375, 0.9375, 0.34821429, 0.375, 0.375, 1.0),
    ),
}


@dataclass(frozen=True)
class ActionTokenizer:
    """Maps controller commands [..., 7] to bins in [0, 255] and back.

    ``low`` and ``high`` bound each dimension; what lies outside is clipped. The gripper is -1 open, +1 close, unchanged.
    The round trip is off by at most half an interval: (high - low) / 510.

    Source: `item_processor.py` of the release: x = 2 (a - low) / (high - low + 1e-8) - 1 against 256 edges, decoded to
    the middle of the interval. The release numbers the intervals from 1; we number from 0 (its id 10006 is our bin 0).
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if (
            len(self.low) != 7
            or len(self.high) != 7
            or not all(a < b for a, b in zip(self.low, self.high, strict=True))
        ):
            raise ValueError(
                f"action tokenizer: got low {self.low} and high {self.high}, expected 7 pairs with low < high. "
                "Run: dvc repro tokenizer"
            )

    @classmethod
    def published(cls, whose: Literal["release", "successor"]) -> "ActionTokenizer":
        """Return the table that the checkpoints of the release need, or those of its successor."""
        return cls(*PUBLISHED[whose])

    @classmethod
    def fit(cls, actions: NDArray[np.floating]) -> "ActionTokenizer":
        """Return the range of training actions [N, 7], as far to either side; [-1, 1] of a dimension that is always zero.

        So zero decodes to zero. robosuite keeps the orientation that was asked for while a rotation is exactly zero, and
        lets the hand turn freely otherwise: a bin's middle beside zero would never be zero again. The release's table is
        not symmetric.
        """
        reach = np.abs(actions).max(axis=0)
        reach = np.where(reach < 1e-6, 1.0, reach)
        return cls(tuple((-reach).tolist()), tuple(reach.tolist()))

    @classmethod
    def load(cls, path: Path) -> "ActionTokenizer":
        """Read ``actions.json``."""
        table = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(table["low"]), tuple(table["high"]))

    def save(self, path: Path) -> None:
        """Write ``actions.json``."""
        write_json(path, {"low": list(self.low), "high": list(self.high)})

    def encode(self, actions: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the bins of commands [..., 7]; values outside the range are clipped.

        Raises:
            ValueError: a command is not finite, or there are not 7 of them.
        """
        if actions.shape[-1] != 7:
            raise ValueError(f"action tokenizer: got {actions.shape[-1]} dimensions, expected 7")
        if not np.isfinite(actions).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(actions))[0])
            raise ValueError(f"action tokenizer: action{list(where)} is {actions[where]}; expected a finite command")
        low, high = np.array(self.low), np.array(self.high)
        scaled = np.clip(2 * (actions - low) / (high - low + 1e-8) - 1, -1, 1)
        return np.digitize(scaled, np.linspace(-1, 1, NUM_EDGES)).astype(np.int64) - 1

    def decode(self, bins: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the commands [..., 7] in the middle of the bins' intervals; bin 255 decodes like 254."""
        edges = np.linspace(-1, 1, NUM_EDGES)
        middles = (edges[:-1] + edges[1:]) / 2
        scaled = middles[np.clip(bins, 0, NUM_EDGES - 2)]
        low, high = np.array(self.low), np.array(self.high)
        return (scaled + 1) / 2 * (high - low) + low
