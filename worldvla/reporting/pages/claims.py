"""The page of the paper's claims, and what the first page says of them."""

from collections.abc import Mapping
from pathlib import Path

from worldvla.params.claims import SIGNIFICANCE, ClaimsParams
from worldvla.reporting.inference.claims import CLAIMS, VERDICTS, Claim, Judged, Outcome, Verdict, paper_effect
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import SUITES, Absent
from worldvla.reporting.pages.rates import tasks
from worldvla.reporting.pages.template import write
from worldvla.reporting.pictures import forest

# The thresholds that the page says when this repository stated them, and which results were known then.
STATED = ClaimsParams(margin_points=3.0, margin_db=0.1, trainings=3, power=0.8)


def write_page(folder: Path, inputs: Inputs, judged: Mapping[str, Judged]) -> None:
    """Write ``claims.md``: each claim with its comparisons, the verdict and what could have been found."""
    outcomes = [outcome for one in judged.values() for outcome in one.outcomes]
    write(
        folder / "claims.md",
        inputs,
        significance=SIGNIFICANCE,
        settings=inputs.params.claims,
        as_stated=inputs.params.claims == STATED,
        tally=tally(judged),
        scored=scored(inputs),
        distinct=len({one.compared for one in outcomes if one.corrected is not None}),
        by_verdict=by_verdict(judged),
        paper=_paper,
    )


def _paper(claim: Claim, outcome: Outcome) -> str:
    return claim.says if outcome.paper is None else f"{outcome.paper:+.{2 if claim.metric else 1}f}"


def by_verdict(judged: Mapping[str, Judged]) -> dict[Verdict, list[Judged]]:
    """Return the claims of each verdict that there is."""
    found: dict[Verdict, list[Judged]] = {}
    for verdict in VERDICTS:
        if claims := [one for one in judged.values() if one.verdict == verdict]:
            found[verdict] = claims
    return found


def scored(inputs: Inputs) -> str:
    """Return the sentences on how many tasks the claims are of."""
    rollouts, suites = inputs.rollouts, inputs.params.suites
    names = {name for claim in CLAIMS.values() for name in claim.variants if claim.compares != "images"}
    sentence = tasks(
        inputs.params, [runs for name in sorted(names) if not isinstance(runs := rollouts.all_of(name, suites), Absent)]
    )
    return f"{sentence} Models of table 2 are trained and scored on every task." if sentence else ""


def counted(judged: Mapping[str, Judged]) -> dict[str, Judged]:
    """Return the claims of the paper that rest on comparisons of their own: two about the same count once."""
    return {key: one for key, one in judged.items() if not one.same_as and not one.claim.control}


def tally(judged: Mapping[str, Judged]) -> str:
    """Return the sentence on how many claims have which verdict."""
    distinct = counted(judged)
    counts = [f"{sum(one.verdict == verdict for one in distinct.values())} {verdict}" for verdict in VERDICTS]
    controls = sum(one.claim.control for one in judged.values())
    repeats = len(judged) - controls - len(distinct)
    return (
        f"Of {len(distinct)} claims: {', '.join(counts)}. Not counted: {controls} controls of ours"
        f"{f', and {repeats} that rest on the comparison of another' if repeats else ''}."
    )


def draw(folder: Path, judged: Mapping[str, Judged]) -> bool:
    """Draw the forest plot of all effects in points; return whether there is any."""
    lines: dict[object, forest.Line] = {}
    for one in judged.values():
        for outcome in one.outcomes:
            effect, label = outcome.effect, one.claim.short
            if effect is None or effect.unit != "points":
                continue
            marks, average = {}, paper_effect(one.claim, SUITES)
            if outcome.paper is not None:
                marks["the paper, on the same suites"] = outcome.paper
                if average is not None and average != outcome.paper:
                    marks["the paper, average"] = average
            label += f", {outcome.place}" if outcome.place not in ("", "points") else ""
            lines.setdefault(outcome.compared, forest.Line(f"{label}: {outcome.verdict}", effect, marks))
    title = "What the first has more than the second"
    return forest.draw(folder / "forest.png", [*lines.values()], title, "difference of success rates, points")
