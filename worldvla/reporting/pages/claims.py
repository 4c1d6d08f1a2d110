"""The page of the paper's claims, and what the first page says of them."""

from collections.abc import Mapping
from pathlib import Path

from worldvla.params.claims import SIGNIFICANCE, ClaimsParams
from worldvla.reporting.inference.claims import CLAIMS, VERDICTS, Judged, Outcome, Verdict, paper_effect
from worldvla.reporting.inference.effects import interval_of, span
from worldvla.reporting.inference.published import comparability
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import SUITES
from worldvla.reporting.markdown import page, table
from worldvla.reporting.pages.rates import tasks
from worldvla.reporting.pictures import forest

# Thresholds, when they were committed, and which results were known then: commits of this repository.
STATED_VALUES = ClaimsParams(margin_points=3.0, margin_db=0.1, trainings=3, power=0.8)
STATED = (
    "Stated: the level of 5 % and the margins on 2026-11-21 (commit 6fee96f), when rows 1, 3 and 4 of table 3 had been seen on the "
    "goal suite (6963145); the trainings as the sample, three of them at least, and the margin of half the paper's effect on "
    "2026-11-28, when one training of every row had been seen (3275f9b). Recipes were tuned on initial states that are reported."
)


def write_page(folder: Path, inputs: Inputs, judged: Mapping[str, Judged]) -> None:
    """Write ``claims.md``: each claim with its comparisons, the verdict and what could have been found."""
    params, settings = inputs.params, inputs.params.claims
    level = f"{100 * (1 - SIGNIFICANCE):g} %"
    text = page(
        f"# Claims of the paper at scale `{params.scale}`: the verdict on each, and by what",
        f"{tally(judged)} {inputs.about} Suites: {', '.join(params.suites)}. {scored(inputs)} Our numbers and the paper's are "
        f"{comparability(params)}. The claims are judged all the same, for they are about directions; the verdicts are about "
        "this benchmark, this scale and these initial states.",
        "An effect is the first's value minus the second's; of several suites the mean of theirs, each with the same weight. The "
        f"sample is the trainings: the interval over trainings is that of Welch's t on their rates, two-sided, {level}, and "
        "decides. The interval over initial states (Newcombe's for paired rates) or clips (bootstrap) stands beside it: it is for "
        "these trainings and decides nothing. The first rule that is met:",
        f"- too few trainings: fewer than {settings.trainings} of either model.\n"
        "- holds: the interval over trainings lies wholly on the claimed side of zero.\n"
        "- opposite: it lies wholly on the other side.\n"
        f"- too small to matter: it lies wholly within the margin, {settings.margin_points:g} points or {settings.margin_db:g} dB "
        "to either side, but never more than half the paper's effect.\n"
        "- open: none of these, or no interval, for no two trainings differ.\n"
        "- not run: there is nothing to compare; the cell says why.",
        "Where the claim is that the first is *not* better (four frames with chunks, video prediction), it holds where the interval "
        "lies below the margin, and the opposite where it lies above zero. A claim about every suite or length holds if it does on "
        "each, the paper's four suites among them, and one counterexample is enough against it, an effect that is too small among "
        "them; one about some suite is the other way round. Growth is judged in points and in log odds, and the two have to agree; "
        "in log odds, and of FVD, no margin is stated, and nothing is too small.",
        f"p is corrected after Holm for the distinct comparisons of this page, {_distinct(judged)}; a verdict that the correction "
        "does not leave says so; that an effect lies below the margin is no test against zero, and has none. Power: the smallest effect that so many trainings find with a chance of "
        f"{settings.power:g}, given their spread, and the trainings of each model that the paper's effect (without one, the margin) "
        "would need.",
        STATED if settings == STATED_VALUES else "The thresholds are not those that this repository stated beforehand.",
        *[block for verdict in VERDICTS for block in _section(inputs, judged, verdict)],
    )
    (folder / "claims.md").write_text(text, encoding="utf-8")


def scored(inputs: Inputs) -> str:
    """Return the sentences on how many tasks the claims are of."""
    rollouts, suites = inputs.rollouts, inputs.params.suites
    names = {name for claim in CLAIMS.values() for name in claim.variants if claim.compares != "images"}
    sentence = tasks(inputs.params, [rollouts.all_of(name, suites) for name in sorted(names)])
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


def sentences(inputs: Inputs, judged: Mapping[str, Judged]) -> list[str]:
    """Return the three sentences of the first page: what holds, what is open, what came out the other way."""
    distinct = counted(judged)

    def named(*verdicts: Verdict) -> str:
        return "; ".join(f"{one.claim.short}{_notes(one)}" for one in distinct.values() if one.verdict in verdicts)

    few = sum(one.verdict == "too few trainings" for one in distinct.values())
    waiting = f" {few} more wait for {inputs.params.claims.trainings} trainings of each model." if few else ""
    return [
        f"**What holds:** {named('holds') or 'nothing yet'}.",
        f"**What is open:** {named('open') or 'nothing that was judged'}.{waiting}",
        f"**What came out the other way:** {named('opposite', 'too small to matter') or 'nothing'}.",
    ]


def _notes(one: Judged) -> str:
    notes = [*one.notes, *(["too small to matter"] if one.verdict == "too small to matter" else [])]
    return f" ({', '.join(notes)})" if notes else ""


def lists(judged: Mapping[str, Judged]) -> list[str]:
    """Return the claims of the first page by verdict, one line each."""
    blocks = []
    for verdict in VERDICTS:
        lines = [f"- {_line(one)}" for one in judged.values() if one.verdict == verdict]
        if lines:
            blocks += [f"### {verdict.capitalize()}", "\n".join(lines)]
    return blocks


def _line(one: Judged) -> str:
    """Return a claim with its effects in a line."""
    effects = []
    for outcome in one.outcomes:
        words = outcome.why or "open"
        if outcome.effect:
            words = f"{outcome.effect.words} ({span(interval_of(outcome.effect.trainings), outcome.effect.unit)})"
            words += f", {outcome.also}" if outcome.also else ""
        effects.append(f"{outcome.place}: {words}" if outcome.place else words)
    extra = one.words.removeprefix(one.verdict).lstrip(": ")
    same = f"; as “{CLAIMS[one.same_as].short}”" if one.same_as else ""
    return f"{one.claim.claim}: {'; '.join(effects)}{f' [{extra}]' if extra else ''}{same}"


def _distinct(judged: Mapping[str, Judged]) -> int:
    found = {outcome.compared for one in judged.values() for outcome in one.outcomes if outcome.corrected is not None}
    return len(found)


def _section(inputs: Inputs, judged: Mapping[str, Judged], verdict: Verdict) -> list[str]:
    chosen = [one for one in judged.values() if one.verdict == verdict]
    if not chosen:
        return []
    header = [
        "Verdict",
        "Claim",
        "Ours",
        "Over trainings",
        "Beside",
        "Paper",
        "Paper's inside ours",
        "p, Holm",
        "Power",
    ]
    lines = [_cells(inputs, one, outcome) for one in chosen for outcome in one.outcomes]
    return [f"## {verdict.capitalize()}", table(header, lines, right=["p, Holm"])]


def _cells(inputs: Inputs, one: Judged, outcome: Outcome) -> list[str]:
    """Return the cells of a comparison; of a claim with several, each has its own verdict beside the claim's."""
    several, effect, claim = len(one.outcomes) > 1, outcome.effect, one.claim
    words = f"{one.words}; here {outcome.verdict}" if several else one.words
    name = f"{claim.claim}{f' ({outcome.place})' if several else ''}; {claim.where}"
    paper = claim.says
    if outcome.paper is not None:
        paper = f"{outcome.paper:+.{2 if claim.metric else 1}f}"
    if effect is None:
        return [words, name, outcome.why, "", "", paper, "", "", ""]
    decimals = 2 if effect.unit in ("dB", "log odds") else 1
    means = f"{effect.means[0]:.{decimals}f} against {effect.means[1]:.{decimals}f}, n = {effect.num}"
    ours = "; ".join(filter(None, [effect.words, means, outcome.also, outcome.why]))
    beside = span(effect.beside, effect.unit) if effect.beside else ""
    p_value = "" if outcome.corrected is None else f"{outcome.corrected:.3f}"
    over = span(interval_of(effect.trainings), effect.unit)
    return [words, name, ours, over, beside, paper, outcome.inside, p_value, outcome.power(inputs.params)]


def draw(folder: Path, judged: Mapping[str, Judged]) -> str:
    """Draw the forest plot of all effects in points; return the block that shows it, or nothing without any."""
    lines, seen = [], set()
    for one in judged.values():
        for outcome in one.outcomes:
            effect = outcome.effect
            if effect is None or effect.unit != "points" or outcome.compared in seen:
                continue
            seen.add(outcome.compared)
            marks = {} if outcome.paper is None else {"the paper, on the same suites": outcome.paper}
            average = _average(one)
            if average is not None and average != outcome.paper and outcome.paper is not None:
                marks["the paper, average"] = average
            label = f"{one.claim.short}, {outcome.place}" if outcome.place not in ("", "points") else one.claim.short
            lines.append(
                forest.Line(
                    f"{label}: {outcome.verdict}", effect.value, effect.beside, interval_of(effect.trainings), marks
                )
            )
    title = "What the first has more than the second"
    drawn = forest.draw(folder / "forest.png", lines, title, "difference of success rates, points")
    return "![every comparison with both its intervals and the paper's](forest.png)" if drawn else ""


def _average(one: Judged) -> float | None:
    return paper_effect(one.claim, SUITES)
