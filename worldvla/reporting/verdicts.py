"""The paper's claims as they are written down, and the rules by which they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from worldvla.reporting.runs import SUITES

Verdict = Literal["supported", "contradicted", "inconclusive", "not judged", "not run"]


@dataclass(frozen=True)
class Claim:
    """An entry of ``claims.yaml``, which says what each field means."""

    claim: str
    where: str
    kind: Literal["rates", "clips"]
    variants: Sequence[str] | None
    direction: Literal["higher", "lower"]
    paper: Sequence[Sequence[str | int]] | None
    compares: Literal["variants", "every_length", "growth", "pixels"] = "variants"
    history: Sequence[int] = ()
    every_suite: bool = False
    denied: bool = False
    says: str = ""
    metric: Literal["", "psnr", "fvd"] = ""
    frames: int = 0

    @property
    def in_parts(self) -> bool:
        """Whether it is about every suite or every length, so that there are several outcomes."""
        return self.every_suite or self.compares == "every_length"


CLAIMS = {
    key: Claim(**entry)
    for key, entry in yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8")).items()
}


@dataclass(frozen=True)
class Outcome:
    """What a comparison gave: on one suite or on all together, and at one length where the claim is about each."""

    group: str
    reads: Verdict
    num: int  # episodes or clips that both have; 0 where the claim is not run
    ours: str  # first against second, or why there is none
    effect: str = ""  # first minus second, with its interval
    test: str = ""
    tasks: str = ""
    smallest: str = ""  # effect that would be found
    length: str = ""  # of the chunks
    variants: Sequence[str] = ()  # that were compared
    few: str = ""  # why it is not judged: how many trainings there are, and how many it needs

    @property
    def words(self) -> str:
        """How it reads."""
        return self.few or self.reads


@dataclass(frozen=True)
class Judged:
    """A claim and how it reads."""

    claim: Claim
    outcomes: Sequence[Outcome]  # one, or one per suite or length
    reads: Verdict

    @property
    def num(self) -> int:
        """Episodes or clips behind the verdict."""
        return sum(outcome.num for outcome in self.outcomes)

    @property
    def words(self) -> str:
        """The verdict, or why nothing is judged; of a claim about every suite or length, with how many were."""
        if self.reads == "not judged":
            return next(outcome.few for outcome in self.outcomes if outcome.few)
        ran = [outcome for outcome in self.outcomes if outcome.num > 0 and not outcome.few]
        if not ran or not self.claim.in_parts:
            return self.reads
        if self.claim.every_suite:
            return f"{self.reads}: {len(ran)} of {len(SUITES)} suites"
        ran_lengths, lengths = ({outcome.length for outcome in some} for some in (ran, self.outcomes))
        return f"{self.reads}: {len(ran_lengths)} of {len(lengths)} lengths"


def verdict(claim: Claim, low: float, high: float, margin: float) -> Verdict:
    """Return how a claim reads by the interval of its effect: the first of the rules on the page that holds."""
    if claim.direction == "lower":
        low, high = -high, -low
    shown, refuted = low > 0, high < 0 or (-margin < low and high < margin)
    supported, contradicted = (refuted, shown) if claim.denied else (shown, refuted)
    return "supported" if supported else "contradicted" if contradicted else "inconclusive"


def together(claim: Claim, reads: Sequence[Verdict]) -> Verdict:
    """Return how a claim reads by its parts: one counterexample decides a claim about every suite or every length.

    A claim that something fails on some suite is the other way round: one example decides for it, and against it speaks
    nothing less than all suites of the paper.
    """
    ran = [read for read in reads if read not in ("not run", "not judged")]
    if not ran:
        return "not judged" if "not judged" in reads else "not run"
    decisive, other = ("supported", "contradicted") if claim.denied else ("contradicted", "supported")
    if decisive in ran:
        return decisive
    enough = len(ran) == len(SUITES) or not (claim.denied and claim.every_suite)
    return other if set(ran) == {other} and enough else "inconclusive"
