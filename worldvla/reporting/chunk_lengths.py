"""Pairs of variants that differ in the mask alone, by the length of their chunks: figure 6 and what is claimed of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from worldvla.params.report import ReportParams

# Under the plain causal mask and under ours: one action, the same under both; then three, the suite's own number, ten.
NAMES = (
    ("action", "action"),
    ("action_chunk_k3", "action_chunk_mask_k3"),
    ("action_chunk", "action_chunk_mask"),
    ("action_chunk_k10", "action_chunk_mask_k10"),
)


@dataclass(frozen=True)
class Pair:
    """Two variants with chunks of the same length, under the plain causal mask and under ours."""

    plain: str
    masked: str
    lengths: tuple[int, ...]  # actions per answer, by suite

    @property
    def chunked(self) -> bool:
        """Whether there is a mask to speak of: with one action both are the same."""
        return min(self.lengths) > 1

    @property
    def words(self) -> str:
        """The length, or the lengths of several suites."""
        several = sorted(set(self.lengths))
        return f"{' or '.join(map(str, several))} action{'s' * (several != [1])}"


def pairs(params: ReportParams, suites: Sequence[str]) -> list[Pair]:
    """Return the pairs of some suites, from the shortest chunks to the longest.

    A user may change any length: two pairs may share one. What is no pair then is left out: see `left_out`.
    """
    found = [pair for names in NAMES if (pair := _pair(params, suites, *names))]
    return sorted(found, key=lambda pair: sum(pair.lengths))


def left_out(params: ReportParams, suites: Sequence[str]) -> str:
    """Return the sentence on the variants that are no pair; nothing if all are."""
    names = [
        " and ".join(f"`{name}`" for name in dict.fromkeys((plain, masked)))
        for plain, masked in NAMES
        if _pair(params, suites, plain, masked) is None
    ]
    return f"Left out, for `params.yaml` has not the same chunks under both masks: {', '.join(names)}." if names else ""


def _pair(params: ReportParams, suites: Sequence[str], plain: str, masked: str) -> Pair | None:
    if plain not in params.variants or masked not in params.variants:
        return None
    lengths, others = (tuple(params.variants[name].chunk[suite] for suite in suites) for name in (plain, masked))
    alone = plain == masked and set(lengths) != {1}
    return None if lengths != others or alone else Pair(plain, masked, lengths)
