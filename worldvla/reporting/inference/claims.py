"""The paper's claims, each as comparisons of ours, judged by the thresholds of params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from worldvla.metrics.trainings import holm, smallest_effect, trainings_needed
from worldvla.params.claims import SIGNIFICANCE
from worldvla.params.report import ReportParams
from worldvla.reporting.contents import RATES
from worldvla.reporting.inference import effects
from worldvla.reporting.inference.effects import Effect
from worldvla.reporting.inference.published import paper_rate, published
from worldvla.reporting.inputs.clips import VideoMetrics, paper_horizons
from worldvla.reporting.inputs.runs import SUITES, Absent, Rollouts, in_order
from worldvla.reporting.words import signed, span

Verdict = Literal["holds", "opposite", "too small to matter", "open", "too few trainings", "not run"]
VERDICTS: tuple[Verdict, ...] = ("holds", "opposite", "too small to matter", "open", "too few trainings", "not run")

NO_LENGTHS = "`params.yaml` has no two lengths of chunks above one action under both masks"


@dataclass(frozen=True)
class Claim:
    """An entry of ``claims.yaml``, which says what each field means."""

    claim: str
    short: str
    where: str
    direction: Literal["higher", "lower"]
    variants: Sequence[str] = ()
    compares: Literal["variants", "every_suite", "every_length", "growth", "images"] = "variants"
    paper: Sequence[Sequence[str | int]] = ()
    says: str = ""
    history: Sequence[int] = ()
    longer_chunk: bool = False
    denied: bool = False
    control: bool = False
    metric: Literal["", "psnr", "fvd"] = ""
    frames: int = 0


CLAIMS = {
    key: Claim(**entry)
    for key, entry in yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8")).items()
}


@dataclass(frozen=True)
class Outcome:
    """What one comparison gave: on one suite or on all together, at one length, on one scale."""

    place: str  # which of a claim's comparisons it is; nothing where there is one
    verdict: Verdict
    compared: tuple[object, ...]  # what was compared: equal for two claims about the same
    effect: Effect | None = None
    why: str = ""  # there is no effect, or no verdict
    paper: float | None = None  # its effect, in our unit
    margin: float = 0.0
    also: str = ""  # what another score of the same clips says
    corrected: float | None = None  # p, for the number of distinct comparisons

    @property
    def inside(self) -> str:
        """Whether the paper's effect lies inside our interval over trainings."""
        if self.paper is None or self.effect is None or self.effect.trainings is None:
            return ""
        return "yes" if self.effect.trainings.low <= self.paper <= self.effect.trainings.high else "no"

    def power(self, params: ReportParams) -> str:
        """Return what so many trainings find, and how many the paper's effect, or one as large as the margin, would need."""
        effect, chance = self.effect, params.claims.power
        if effect is None or effect.trainings is None:
            return ""
        spread, arms = effect.trainings.spread, effect.trainings.arms
        smallest = smallest_effect(spread, min(effect.num_trainings), chance, arms)
        found = signed(smallest, effect.unit).removeprefix("+")
        wanted = self.paper or self.margin
        if not wanted:
            return found
        needed = trainings_needed(wanted, spread, chance, arms)
        asked = signed(wanted, effect.unit)
        return f"{found}; {asked} needs {'over a thousand' if needed is None else needed}"


@dataclass(frozen=True)
class Judged:
    """A claim and its verdict."""

    claim: Claim
    outcomes: Sequence[Outcome]
    verdict: Verdict
    part: str = ""  # how many of the suites or lengths that it is about have a verdict
    same_as: str = ""  # the claim before it that rests on the same comparisons

    @property
    def notes(self) -> list[str]:
        """What else a reader has to know of the verdict: what differs besides, and that the correction does not leave it."""
        found = [note for one in self.outcomes if one.effect for note in one.effect.notes]
        return [*dict.fromkeys(found), *(["not after Holm's correction"] if self._falls_to_holm else [])]

    @property
    def extra(self) -> str:
        """What stands beside the verdict."""
        return "; ".join(filter(None, [self.part, *self.notes]))

    @property
    def words(self) -> str:
        """The verdict with its notes."""
        return f"{self.verdict}: {self.extra}" if self.extra else self.verdict

    @property
    def _falls_to_holm(self) -> bool:
        """Whether the correction takes away what the verdict rests on.

        One comparison is enough where one decides; else each is needed. That an effect lies below the margin is no test
        against zero, and not corrected.
        """
        if self.verdict not in ("holds", "opposite") or (self.claim.denied and self.verdict == "holds"):
            return False
        fallen = [(one.corrected or 0) >= SIGNIFICANCE for one in self.outcomes if one.verdict == self.verdict]
        one_decides = self.claim.compares in ("every_suite", "every_length") and self.verdict == "opposite"
        return all(fallen) if one_decides and not self.claim.denied else any(fallen)


def verdict(claim: Claim, low: float, high: float, margin: float) -> Verdict:
    """Return what an interval over trainings says of a claim: the first of the rules on the page that is met."""
    if claim.direction == "lower":
        low, high = -high, -low
    if claim.denied:  # that the first is not better: better by less than the margin is not
        return "holds" if high < margin else "opposite" if low > 0 else "open"
    if low > 0 or high < 0:
        return "holds" if low > 0 else "opposite"
    return "too small to matter" if -margin < low and high < margin else "open"


def together(claim: Claim, verdicts: Sequence[Verdict], whole: bool) -> Verdict:
    """Return the verdict of a claim from those of its comparisons.

    Of one that is about every suite or every length one counterexample decides it, and it holds only if it does on each. A
    denied one, that something fails on some suite, is the other way round: one suite decides for it, and it is false only
    if it is on each. Of one that is judged on two scales both have to agree.

    Args:
        claim: that is judged.
        verdicts: of the comparisons.
        whole: whether they are all that the claim is about; of a claim about suites, the paper's four.
    """
    if len(set(verdicts)) == 1 and claim.compares not in ("every_suite", "every_length"):
        return verdicts[0]
    given = [one for one in verdicts if one not in ("too few trainings", "not run")]
    if not given:
        return "too few trainings" if "too few trainings" in verdicts else "not run"
    against: tuple[Verdict, ...] = ("holds",) if claim.denied else ("opposite", "too small to matter")
    if claim.compares != "growth":
        for decisive in against:
            if decisive in given:
                return decisive
    other: Verdict = "opposite" if claim.denied else "holds"
    return other if set(verdicts) == {other} and whole else "open"


def judge(params: ReportParams, rollouts: Rollouts, metrics: Mapping[str, VideoMetrics | Absent]) -> dict[str, Judged]:
    """Judge every claim of ``claims.yaml``, by its key."""
    found = {key: _outcomes(params, claim, rollouts, metrics) for key, claim in CLAIMS.items()}
    distinct = {one.compared: one for outcomes in found.values() for one in outcomes if one.effect}
    tested = {key: one.effect.trainings.p_value for key, one in distinct.items() if one.effect and one.effect.trainings}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    judged: dict[str, Judged] = {}
    before: dict[object, str] = {}
    for key, claim in CLAIMS.items():
        outcomes = [replace(one, corrected=corrected.get(one.compared)) for one in found[key]]
        verdicts: list[Verdict] = [one.verdict for one in outcomes]
        whole = claim.compares != "every_suite" or {one.place for one in outcomes} >= set(SUITES)
        reads = together(claim, verdicts, whole)
        of = len(SUITES) if claim.compares == "every_suite" else len(outcomes)
        kind = {"every_suite": "suites", "every_length": "lengths", "growth": "scales"}.get(claim.compares, "")
        ran = sum(one not in ("too few trainings", "not run") for one in verdicts)
        part = f"{ran} of {of} {kind}" if kind and ran else ""
        same = {before.get(one.compared, "") if one.effect else "" for one in outcomes}
        judged[key] = Judged(claim, outcomes, reads, part, same.pop() if len(same) == 1 else "")
        for one in outcomes:
            if one.effect:
                before.setdefault(one.compared, key)
    return judged


def _outcomes(
    params: ReportParams, claim: Claim, rollouts: Rollouts, metrics: Mapping[str, VideoMetrics | Absent]
) -> list[Outcome]:
    """Return a claim's comparisons."""
    if claim.metric:
        return [_clips(params, claim, metrics)]
    suites = in_order(params.suites)
    pairs = [("", (claim.variants[0], claim.variants[1]))] if claim.variants else chunk_pairs(params)
    if not pairs or (claim.compares == "growth" and (len(pairs) < 2 or pairs[0][0] == pairs[-1][0])):
        return [Outcome("", "not run", (), why=NO_LENGTHS)]

    def compare(pair: tuple[str, str], suites: Sequence[str], place: str, unit: str = "points") -> Outcome:
        effect = _other(params, claim, pair) or effects.rates(params, rollouts, pair, suites, unit)
        compared = (pair, *suites, unit)
        if claim.compares == "growth" and not isinstance(effect, str):
            shortest = effects.rates(params, rollouts, pairs[0][1], suites, unit)
            effect = shortest if isinstance(shortest, str) else effect.minus(shortest)
            compared = (pair, pairs[0][1], *suites, unit)
        margin = params.claims.margin_points if unit == "points" else 0.0  # nothing is too small to matter in log odds
        found = Outcome(place, "not run", compared, paper=paper_effect(claim, suites))
        return _judged(params, claim, found, effect, margin)

    if claim.compares == "growth":
        return [compare(pairs[-1][1], suites, unit, unit) for unit in ("points", "log odds")]
    if claim.compares == "every_suite":
        return [compare(pairs[0][1], [suite], suite) for suite in suites]
    known = [name for name in claim.variants if name in params.variants]
    if claim.compares == "images" and len(known) == 2:
        larger, smaller = sorted(known, key=lambda name: -params.variants[name].pixels)
        pairs = [("", (larger, smaller))]
    return [compare(pair, suites, words) for words, pair in pairs]


def chunk_pairs(params: ReportParams) -> list[tuple[str, tuple[str, str]]]:
    """Return figure 6's lengths above one action, in words, with the variants under the action mask and the plain one.

    From the shortest to the longest. A user may change any length: what has not the same chunks under both masks is left out.
    """
    plain, masked = RATES["figure6"]["chart"]["curves"].values()
    found = []
    for one, other in zip(masked, plain, strict=True):
        if one in params.variants and other in params.variants:
            lengths, others = ([params.variants[name].chunk[suite] for suite in params.suites] for name in (one, other))
            if lengths == others and min(lengths) > 1:
                words = f"{' or '.join(map(str, sorted(set(lengths))))} actions"
                found.append((sum(lengths), words, (one, other)))
    return [(words, pair) for _, words, pair in sorted(found)]


def _clips(params: ReportParams, claim: Claim, metrics: Mapping[str, VideoMetrics | Absent]) -> Outcome:
    """Compare at our length that stands beside the paper's."""
    ours = [horizon for horizon, paper in paper_horizons(params).items() if paper == claim.frames]
    if not ours:
        return Outcome("", "not run", (), why="no clips of this length")
    horizon = claim.frames if claim.frames in ours else ours[0]
    unit = "dB" if claim.metric == "psnr" else ""
    sides = [(name, "true") for name in claim.variants]
    effect = effects.clips(params, metrics, sides, horizon, claim.metric, unit=unit)
    margin = params.claims.margin_db if unit else 0.0  # none is stated for FVD: nothing is too small to matter there
    found = Outcome("", "not run", (*claim.variants, horizon, claim.metric), paper=paper_effect(claim, ()))
    found = _judged(params, claim, found, effect, margin)
    other = effects.clips(params, metrics, sides, horizon, "ssim", 100, "x100") if unit else ""
    if isinstance(other, str):
        return found
    return replace(found, also=f"SSIM {other.words} ({span(other.over, 'x100')})")


def _judged(params: ReportParams, claim: Claim, found: Outcome, effect: Effect | str, margin: float) -> Outcome:
    """Return a comparison with its effect and verdict."""
    if isinstance(effect, str):
        return replace(found, why=effect)
    # An effect as large as the paper's is never too small to matter; that there is none is judged by the margin alone.
    margin = margin if found.paper is None or claim.denied else min(margin, abs(found.paper) / 2)
    found = replace(found, effect=effect, margin=margin)
    if effect.too_few:
        return replace(found, verdict="too few trainings", why=effect.too_few)
    if effect.trainings is None:
        return replace(found, verdict="open", why="no two trainings differ: no interval")
    return replace(found, verdict=verdict(claim, effect.trainings.low, effect.trainings.high, margin))


def _other(params: ReportParams, claim: Claim, pair: tuple[str, str]) -> str:
    """Return why the variants are not what the claim is about; nothing if they are, or have not been trained."""
    if any(name not in params.variants for name in pair):
        return ""
    first, second = (params.variants[name] for name in pair)
    for name, frames in zip(pair, claim.history, strict=False):
        if params.variants[name].history != frames:
            return f"`{name}` has a history of {params.variants[name].history}; the claim is about {frames}"
    if claim.longer_chunk and any(first.chunk[suite] <= second.chunk[suite] for suite in params.suites):
        return f"`{pair[0]}` has not longer chunks than `{pair[1]}` on every suite"
    return ""


def paper_effect(claim: Claim, suites: Sequence[str]) -> float | None:
    """Return the paper's difference, on the suites that we have; None where it has no numbers of them."""
    if not claim.paper or claim.compares in ("every_suite", "growth"):
        return None
    if claim.metric:
        first, second = (published(str(path[0]), *path[1:])[claim.frames][claim.metric] for path in claim.paper)
        return first - second
    first, second = (paper_rate(path, suites) for path in claim.paper)
    return None if first is None or second is None else first - second
