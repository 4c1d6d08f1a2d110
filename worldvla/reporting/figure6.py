"""The page of figure 6: success rates over the length of the chunk, under the plain causal mask and under ours."""

from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.reporting import rate_pages, successes
from worldvla.reporting.chunk_lengths import NAMES, Pair, left_out, pairs
from worldvla.reporting.curves import Curve, points, success_curves
from worldvla.reporting.markdown import table
from worldvla.reporting.runs import Absent
from worldvla.reporting.successes import Group, Row, Runs

ROWS = [Row(name, f"`{name}`", name, name) for name in dict.fromkeys(name for pair in NAMES for name in pair)]
MASKS = ("plain causal mask", "our mask")


def write_page(folder: Path, params: ReportParams, runs: Runs, timing: Path) -> None:
    """Write ``figure6.md`` and its chart.

    Args:
        folder: the reports.
        params: what the reports are about.
        runs: the runs of `ROWS`.
        timing: folder of the wall-clock files.
    """
    curves = {successes.heading(suite): _curves(params, suite, group) for suite, group in runs.items()}
    title = rate_pages.chart_title("figure6", params)
    drawn = success_curves(folder / "figure6.png", curves, title, "actions per chunk")
    rate_pages.write(
        folder,
        "figure6",
        params,
        runs,
        timing,
        title="the length of the chunk, under the plain causal mask and under ours",
        about="The model executes all actions of a chunk before it looks again. With one action both masks are the "
        "same, so one run stands for both; one action, and the suite's own length, are rows 1, 3 and 4 of [table "
        "3](table3.md).",
        blocks=[
            "The paper has a chart without numbers. Its text says: the success rate falls with longer chunks under the "
            "plain mask; our mask is better, most of all with long chunks; with very long ones it falls too.",
            "![success rates over the length of the chunk](figure6.png)" if drawn else "",
            f"{successes.TEST} A difference is our mask minus the plain one.",
            *[block for suite, group in runs.items() for block in _suite(params, suite, group)],
        ],
    )


def headline(params: ReportParams, runs: Runs) -> str:
    """Return the table of the first page: suites and lengths by masks."""
    lines = []
    for suite, group in runs.items():
        for pair in pairs(params, [suite]):
            rates = [successes.brief(group[name]) for name in (pair.plain, pair.masked)]
            lines.append([suite, str(pair.lengths[0]), *rates])
    return table(
        ["Suite", "Actions per chunk", *[mask.capitalize() for mask in MASKS]], lines, right=["Actions per chunk"]
    )


def _curves(params: ReportParams, suite: str, group: Group) -> list[Curve]:
    found = pairs(params, [suite])
    sides = [[pair.plain for pair in found], [pair.masked for pair in found]]
    lengths = [pair.lengths[0] for pair in found]
    return [
        Curve(mask, points([(length, name, group[name]) for length, name in zip(lengths, names, strict=True)]))
        for mask, names in zip(MASKS, sides, strict=True)
    ]


def _suite(params: ReportParams, suite: str, group: Group) -> list[str]:
    """Return the blocks of a suite: what its models have in common, and the rates by length."""
    header = ["Actions", *[mask.capitalize() for mask in MASKS], "n", "Difference", "95 % interval", "p", "Reads"]
    lines = []
    for pair in pairs(params, [suite]):
        names = dict.fromkeys((pair.plain, pair.masked))
        rates = [successes.brief(group[name]) for name in (pair.plain, pair.masked)]
        lines.append([str(pair.lengths[0]), *rates, *_compared(pair, group), ", ".join(f"`{name}`" for name in names)])
    return [
        f"## {successes.heading(suite)}",
        successes.settings(params, suite, ROWS, group),
        table([*header, "Variants"], lines, right=header[:-1]) if lines else "",
        left_out(params, [suite]),
        successes.policy_failures(ROWS, group),
    ]


def _compared(pair: Pair, group: Group) -> list[str]:
    """Return the cells of our mask against the plain one: n, difference, interval, p and how it reads."""
    plain, masked = group[pair.plain], group[pair.masked]
    if isinstance(plain, Absent) or isinstance(masked, Absent):
        return [""] * 5
    if pair.plain == pair.masked:
        return [str(plain.rate.episodes), "", "", "", "the same run"]
    result = successes.compare(masked, plain)
    if result is None:
        return ["0", "", "", "", successes.NOTHING_SHARED]
    way = successes.direction(result)
    reads = way if way == "inconclusive" else f"our mask is {way}"
    num = result.both + result.only_first + result.only_second + result.neither
    return [str(num), *successes.difference(result), reads]
