"""Token ids: the only file with literal ones.

Two vocabularies with the same roles. ``chameleon`` is the published one (65,536 ids), so that published checkpoints
load and our tokens compare with theirs. ``compact`` has no id that the data cannot use and no row or grid tokens, which
makes a small model several times faster to train.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Which ids play which role. Ranges are ``[first, first + num)``; ``None`` where a vocabulary has no such token.

    Source: the released tokens (Chameleon's tokenizer with Lumina-mGPT's image layout, WorldVLA's action markers);
    ``compact`` is ours. Deviation: code c is token ``first_code + c``.
    """

    name: str
    size: int
    bos: int  # starts every sample
    separator: int  # ends a turn; the paper's [EOS]
    begin_image: int
    end_image: int
    begin_action: int
    end_action: int
    first_text: int
    num_text: int
    first_code: int
    num_codes: int
    first_bin: int
    num_bins: int
    end_row: int | None = None  # after each row of codes
    first_grid: int | None = None  # image side / 32 counts from here; stands twice, for height and width

    def text(self, ids: list[int]) -> Tokens:
        """Return the tokens of a text: BOS, then the text tokenizer's ids moved into their range."""
        if ids and not 0 <= min(ids) <= max(ids) < self.num_text:
            raise ValueError(
                f"{self.name} vocabulary: text id {max(ids)} is outside [0, {self.num_text}); "
                "the text tokenizer belongs to another vocabulary. Run: dvc repro tokenizer"
            )
        return np.array([self.bos, *(self.first_text + i for i in ids)], dtype=np.int64)

    def image(self, codes: NDArray[np.integer]) -> Tokens:
        """Return the image block of row-major codes [side * side]: markers, rows and codes.

        ``chameleon``: BOI, grid, grid, then each row and its end, EOI (276 tokens at 256 px).
        ``compact``: BOI, the codes, EOI.
        """
        self._check(codes, self.num_codes, "code")
        tokens = codes.astype(np.int64) + self.first_code
        side = math.isqrt(tokens.size)
        assert side * side == tokens.size, "codes of a square image"
        head = [self.begin_image]
        if self.end_row is not None:
            rows = np.full((side, side + 1), self.end_row, dtype=np.int64)
            rows[:, :-1] = tokens.reshape(side, side)
            tokens = rows.ravel()
        if self.first_grid is not None:
            head += [self.first_grid + side // 2] * 2  # a code is 16 px, a grid unit 32 px
        return np.concatenate([head, tokens, [self.end_image]])

    def action(self, bins: NDArray[np.integer]) -> Tokens:
        """Return BOA, the bins [7] of one action, EOA."""
        self._check(bins, self.num_bins, "bin")
        return np.concatenate([[self.begin_action], bins.astype(np.int64) + self.first_bin, [self.end_action]])

    def _check(self, values: NDArray[np.integer], stop: int, what: str) -> None:
        if values.size == 0 or values.min() < 0 or values.max() >= stop:
            worst = "none" if values.size == 0 else int(values.max() if values.max() >= stop else values.min())
            raise ValueError(
                f"{self.name} vocabulary: {what} {worst} is outside [0, {stop}); "
                "the data was made for another vocabulary. Run: dvc repro encode"
            )


CHAMELEON = Vocabulary(
    name="chameleon",
    size=65_536,
    bos=0,
    separator=8710,
    begin_image=8197,
    end_image=8196,
    begin_action=10_004,
    end_action=15_004,
    first_text=0,
    num_text=65_536,
    first_code=4,
    num_codes=8192,
    first_bin=10_006,
    num_bins=256,
    end_row=8803,
    first_grid=8804,
)

# What the published text tokenizer calls them. Its file decides: image code c is token 4 + c only if all names say so.
_SPECIAL_NAMES = {
    "<s>": CHAMELEON.bos,
    "<pad>": 1,
    "</s>": 2,
    "<eoss>": CHAMELEON.end_image,
    "<racm3:break>": CHAMELEON.begin_image,
    "<reserved08706>": CHAMELEON.separator,
    "<reserved08799>": 8803,
    "<reserved10000>": CHAMELEON.begin_action,
    "<reserved15000>": CHAMELEON.end_action,
}


def code_name(code: int) -> str:
    """Return what the published text tokenizer calls an image code: ``IMGIMG``, its digits as letters, ``Z``."""
    return f"IMGIMG{str(code).translate(str.maketrans('0123456789', 'ABCDEFGHIJ'))}Z"


def misplaced(ids: Mapping[str, int]) -> tuple[str, int | None, int] | None:
    """Return the first published name that has another id than ours, with its id and ours; None if there is none.

    Args:
        ids: name -> id, of a text tokenizer.
    """
    codes = {code_name(code): CHAMELEON.first_code + code for code in range(CHAMELEON.num_codes)}
    expected = {**_SPECIAL_NAMES, **codes}
    return next(((name, ids.get(name), place) for name, place in expected.items() if ids.get(name) != place), None)


def compact(num_text: int, num_codes: int) -> Vocabulary:
    """Return the vocabulary of a tokenizer with ``num_text`` text ids and ``num_codes`` codes; id 0 is the padding."""
    first_text = 7
    first_bin = first_text + num_text
    first_code = first_bin + 256
    return Vocabulary(
        name="compact",
        size=first_code + num_codes,
        bos=1,
        separator=2,
        begin_image=3,
        end_image=4,
        begin_action=5,
        end_action=6,
        first_text=first_text,
        num_text=num_text,
        first_code=first_code,
        num_codes=num_codes,
        first_bin=first_bin,
        num_bins=256,
    )


def vocabulary(name: str, num_text: int, num_codes: int) -> Vocabulary:
    """Return a vocabulary by name; ``chameleon`` refuses a tokenizer that has more codes than it has room for."""
    if name == "compact":
        return compact(num_text, num_codes)
    if name != "chameleon":
        raise ValueError(f"vocabulary: got '{name}', expected 'compact' or 'chameleon'")
    if num_codes > CHAMELEON.num_codes:
        raise ValueError(
            f"chameleon vocabulary: the tokenizer has {num_codes} codes, expected at most {CHAMELEON.num_codes}; "
            "lower tokenizer.num_codes in conf/ or use the compact vocabulary"
        )
    return CHAMELEON
