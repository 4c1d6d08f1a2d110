"""The page of the paper's claims: each as a comparison of ours, with its n, judged by thresholds of params.yaml."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worldvla.params.report import ReportParams
from worldvla.reporting import judging, successes
from worldvla.reporting.markdown import page, table
from worldvla.reporting.published import comparability, published
from worldvla.reporting.runs import SUITES, in_order
from worldvla.reporting.successes import AVERAGE, Runs
from worldvla.reporting.verdicts import Claim, Judged

VERDICTS = ("supported", "contradicted", "inconclusive", "not judged", "not run")
TITLES = {"rates": "Success rates", "clips": "Predicted clips"}
ABOUT = {
    "rates": "{tasks} On the same initial states. The paper's column has its average, then its suites. The interval is Newcombe's "
    "for paired rates and decides; p is McNemar's exact test, which is a little stricter and by which the tables' own "
    "pages read. Tasks: on how many of them the first succeeds more and less often; the interval is for these tasks, "
    "none of the claims is about others. The smallest effect that we would find is the difference that McNemar's test "
    "finds with a chance of {power}, given n and the share of episodes that only one of the two models solves (where "
    "there is none, the upper end of that share's interval). What the mask gains, per initial state, with the longest "
    "chunks that ran is compared with what it gains with the shortest above one action; there the interval is a bootstrap "
    "over initial states, and the smallest effect is by the normal approximation.",
    "clips": "On the same clips. The interval is a bootstrap over clips, too narrow by a factor of about "
    "sqrt(1 - 1/n). The smallest effect that we would find is the difference that is found "
    "with a chance of {power}, from n and the spread over clips, by the normal approximation.",
}


def write_page(folder: Path, params: ReportParams, runs: Runs, judged: Mapping[str, Judged]) -> None:
    """Write ``claims.md``.

    Args:
        folder: the reports.
        params: what the reports are about, with the thresholds.
        runs: those of `judging.ROWS`.
        judged: the claims, by their keys.
    """
    settings = params.claims
    tasks = successes.tasks_but_table2(params, judging.ROWS, runs)
    sections = []
    for kind, title in TITLES.items():
        chosen = [one for one in judged.values() if one.claim.kind == kind]
        sections += [
            f"## {title}",
            ABOUT[kind].format(power=f"{settings.power:g}", tasks=tasks).strip(),
            _table(chosen, tasks=kind == "rates"),
        ]
    text = page(
        f"# Claims of the paper at scale `{params.scale}`: supported, contradicted, inconclusive or not run",
        f"{count(judged)} Benchmark `{params.benchmark}`, suites: {', '.join(params.suites)}; seed {params.seed}. Our "
        f"numbers and the paper's are {comparability(params)}. The claims are judged all the same, for they are about "
        "directions; the verdicts are about this benchmark and this scale. An interval is over episodes or clips of the "
        f"trained models, all trainings together, not over trainings; on fewer than {settings.trainings} trainings of each "
        "of the two models nothing is judged.",
        f"An effect is the first's value minus the second's, with its {100 * (1 - settings.significance):g} % "
        "interval. How a claim reads was fixed in `params.yaml`, section `claims`; the first rule that holds:",
        "- supported: the interval lies wholly on the claimed side of zero.\n"
        "- contradicted: it lies wholly on the other side, or wholly within the margin, "
        f"{settings.margin_points:g} points or {settings.margin_db:g} dB to either side: an effect shown to be "
        "nothing to speak of.\n"
        "- inconclusive: neither, or there is no interval.\n"
        "- not judged: too few trainings; the column says how many there are and how many are expected.\n"
        "- not run: there is nothing to compare; the column of ours says why.",
        "Where the claim is that the first is *not* better (four frames, video prediction), the two conditions change "
        "places. A claim about every suite or every length is supported if each that ran supports it, and contradicted by "
        "one; a claim about some suite is supported by one, and contradicted only if all four suites contradict it.",
        chance(params, judged),
        *sections,
    )
    (folder / "claims.md").write_text(text, encoding="utf-8")


def summary(params: ReportParams, judged: Mapping[str, Judged]) -> str:
    """Return the table of the first page: one line per claim."""
    lines = []
    for one in judged.values():
        ours = [outcome.effect or outcome.ours for outcome in one.outcomes]
        if len(ours) > 1:
            ours = [
                f"{outcome.length or outcome.group}: {words}" for outcome, words in zip(one.outcomes, ours, strict=True)
            ]
        lines.append([one.claim.claim, _paper(one.claim, params.suites), "; ".join(ours), _n(one.num), one.words])
    return table(["Claim", "Paper", "Ours", "n", "Reads"], lines, right=["n"])


def count(judged: Mapping[str, Judged]) -> str:
    """Return the sentence on how many claims read which way."""
    counts = Counter(one.reads for one in judged.values())
    return f"Of {len(judged)} claims: {', '.join(f'{counts[reads]} {reads}' for reads in VERDICTS)}."


def chance(params: ReportParams, judged: Mapping[str, Judged]) -> str:
    """Return the sentence on how many claims read as decided by chance alone."""
    made = {
        (*outcome.variants, one.claim.frames, outcome.group)
        for one in judged.values()
        for outcome in one.outcomes
        if outcome.effect
    }
    return (
        f"Of {1 / params.claims.significance:.0f} comparisons without any true difference, about one would have an "
        f"interval that excludes zero by chance; comparisons made here: {len(made)}."
    )


def _table(chosen: Sequence[Judged], tasks: bool) -> str:
    header = [
        "Claim",
        "Where",
        "Paper",
        "Ours",
        "n",
        "Effect",
        "Test",
        "Tasks",
        "Smallest effect we would find",
        "Reads",
    ]
    lines = []
    for one in chosen:
        about = [one.claim.claim, one.claim.where, _paper(one.claim, SUITES)]
        if one.claim.in_parts:
            lines.append([*about, "", _n(one.num), *[""] * 4, one.words])
        for outcome in one.outcomes:
            if one.claim.in_parts:
                about = [f"at {outcome.length}" if outcome.length else f"on {outcome.group}", "", ""]
            test = [outcome.effect, outcome.test, outcome.tasks, outcome.smallest]
            lines.append([*about, outcome.ours, _n(outcome.num), *test, outcome.words])
    shown = [name for name in header if tasks or name != "Tasks"]
    lines = [[cell for name, cell in zip(header, line, strict=True) if name in shown] for line in lines]
    return table(shown, lines, right=["n"])


def _n(num: int) -> str:
    return str(num) if num else ""


def _paper(claim: Claim, suites: Sequence[str]) -> str:
    """Return the paper's difference: of its average, then of the suites; what it says where it has no numbers."""
    if claim.paper is None:
        return claim.says
    first, second = (_published(path, claim.frames) for path in claim.paper)
    if claim.kind == "clips":
        gain = first[claim.metric] - second[claim.metric]
        return f"{gain:+.1f}" if claim.metric == "fvd" else f"{gain:+.2f} dB"
    if "rate" in first:
        return f"{successes.points(first['rate'] - second['rate'])} (goal)"
    by_suite = ", ".join(f"{suite} {first[suite] - second[suite]:+.1f}" for suite in in_order(suites) if suite in first)
    average = successes.points(first[AVERAGE] - second[AVERAGE])
    return f"{average} ({by_suite})" if by_suite else average


def _published(path: Sequence[str | int], frames: int) -> Mapping[Any, Any]:
    """Return the row of ``published.yaml`` at the path; of clips, at their length."""
    row: Mapping[Any, Any] = published(str(path[0]))
    for key in (*path[1:], *[frames] * bool(frames)):
        row = row[key]
    return row
