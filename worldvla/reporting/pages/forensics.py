"""The page of what the paper's printed numbers say by themselves; nothing of ours is on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from worldvla.metrics import published_rates
from worldvla.metrics.published_rates import Unpaired, chance_agreement, count, fitting, likeliest
from worldvla.metrics.trainings import holm
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.effects import signed
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.runs import AVERAGE, SUITES
from worldvla.reporting.markdown import folded, page, table

ROLLOUTS = 50  # per task: section 4.1
EPISODES = range(ROLLOUTS, 11 * ROLLOUTS, ROLLOUTS)  # of a row and suite, which has ten tasks at most
COUNTED = (450, 500)  # episodes per row and suite: of nine tasks and of ten
TOKENS_PER_ACTION, TABLE5_CHUNK = 9, 5  # seven numbers between two markers: section 3.2; its suite is Goal: section 4.1
# What the text of section 1 says of table 3, by its name among the published numbers; and the rows it is held against.
CLAIMED = {
    "world_model_helps": ("the world model helps the action model", [(2, 1), (5, 4)]),
    "chunks_hurt": ("chunks without the mask hurt", [(3, 1)]),
    "mask_helps": ("the mask helps chunks", [(4, 3)]),
}


def write_page(folder: Path) -> None:
    """Write ``forensics.md``: the findings, then what they rest on, folded away but for the differences."""
    compared = differences()
    sections = [_differences(compared), _episodes(), _averages(), _claims(), _fvd(), _timing()]
    text = page(
        "# Forensics: what the paper's printed numbers say by themselves, without any run of ours",
        "\n".join(f"- {finding}" for finding, *_ in sections),
        "## Differences",
        *sections[0][1:],
        *[folded(title, *blocks[1:]) for title, blocks in zip(TITLES, sections[1:], strict=True)],
    )
    (folder / "forensics.md").write_text(text, encoding="utf-8")


TITLES = (
    "How many episodes, and every rate as a count",
    "Averages recomputed",
    "Claims of the text",
    "FVD",
    "Frames per second",
)


@dataclass(frozen=True)
class Compared:
    """Two published rates compared."""

    table: str
    rows: str
    group: str
    rates: tuple[float, float]
    episodes: int
    result: Unpaired
    corrected: float

    @property
    def reads(self) -> str:
        """What the difference says about its first row."""
        if self.result.p_value >= SIGNIFICANCE:
            return "open"
        way = "higher" if self.result.difference > 0 else "lower"
        return way if self.corrected < SIGNIFICANCE else f"{way}, not after Holm's correction"


def differences() -> list[Compared]:
    """Compare the rows that the paper compares, suite by suite and on average, where suites are strata."""
    rows3, rows6, rows2 = published("table3"), published("table6"), published("table2")
    pairs = [("Table 3", f"{a} against {b}", rows3[a], rows3[b]) for a, b in [(2, 1), (5, 4), (4, 3), (4, 1), (3, 1)]]
    pairs.append(
        ("Table 6", "with against without", rows6["with_world_pretraining"], rows6["without_world_pretraining"])
    )
    pairs += [
        ("Table 2", f"{one} against openvla", rows2[one], rows2["openvla"]) for one in ("worldvla_256", "worldvla_512")
    ]
    ablations, own = (likeliest(rates, EPISODES) for rates in (_ablations(), _own_rates()))
    found = []
    for place, names, first, second in pairs:
        episodes = own if place == "Table 2" else ablations
        for group in (*SUITES, AVERAGE):
            rates = (first[group], second[group])
            if group == AVERAGE:
                result = published_rates.stratified([(first[suite], second[suite]) for suite in SUITES], episodes)
            else:
                result = published_rates.unpaired(*rates, episodes)
            num = episodes * (len(SUITES) if group == AVERAGE else 1)
            found.append((place, names, group, rates, num, result))
    corrected = holm([result.p_value for *_, result in found])
    return [
        Compared(place, names, group, rates, num, result, p_value)
        for (place, names, group, rates, num, result), p_value in zip(found, corrected, strict=True)
    ]


def _differences(compared: Sequence[Compared]) -> list[str]:
    single = sum(one.result.p_value < SIGNIFICANCE for one in compared)
    left = sum(one.corrected < SIGNIFICANCE for one in compared)
    means = ", ".join(
        f"{one.rows} {signed(one.result.difference, 'points')} ({_equal_p(one.result.p_value)}, {one.reads})"
        for one in compared
        if one.group == AVERAGE and one.table == "Table 3"
    )
    header = ["Table", "Rows", "Suite", "Rates", "n", "Verdict", "Difference", "95 % interval", "p", "Holm", "Needed"]
    lines = []
    for one in compared:
        result, needed = one.result, published_rates.episodes_needed(*one.rates)
        line = [one.table, one.rows, one.group, f"{one.rates[0]} and {one.rates[1]}", str(one.episodes), one.reads]
        line += [signed(result.difference, "points"), f"{result.low:+.1f} to {result.high:+.1f}"]
        lines.append([*line, _p(result.p_value), _p(one.corrected), "never" if needed is None else str(needed)])
    averages, rest = ([line for line in lines if (line[2] == AVERAGE) is wanted] for wanted in (True, False))
    return [
        f"Differences: {single} of {len(compared)} have p < {SIGNIFICANCE} at the paper's own n, {left} still do when corrected "
        f"for their number. Rows of table 3 on average: {means}. One training stands behind each row: none of this says how "
        "much another training of the same row would change its rate.",
        "n per row is what the rates give away (below); OpenVLA's is taken to be the same as WorldVLA's in table 2. Of a suite "
        "the p is of the test of two proportions and the interval Newcombe's; of the average the suites are strata (Cochran, "
        "Mantel and Haenszel). Both as if the episodes of the two rows were independent: if they share initial states, a paired "
        f"test could be sharper. Holm's p is over all {len(compared)} lines. Needed is the n at which the same two rates, as one "
        f"sample, would have p < {SIGNIFICANCE}.",
        table(header, averages, right=header[6:]),
        folded("Suite by suite", table(header, rest, right=header[6:])),
    ]


def _p(value: float) -> str:
    return f"{value:.4f}" if 0.001 <= value < 0.01 else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _equal_p(value: float) -> str:
    return f"p {_p(value)}" if value < 0.001 else f"p = {_p(value)}"


def _ablations() -> list[float]:
    """Return the distinct success rates of tables 3, 5 and 6, in percent and without averages."""
    rows = [*published("table3").values(), *published("table6").values()]
    rates = {row[suite] for row in rows for suite in SUITES}
    return sorted(rates | {cell["rate"] for row in published("table5").values() for cell in row.values()})


def _own_rates() -> list[float]:
    """Return the distinct success rates of WorldVLA in table 2, in percent and without averages."""
    rows = [row for name, row in published("table2").items() if name.startswith("worldvla")]
    return sorted({row[suite] for row in rows for suite in SUITES})


def _episodes() -> list[str]:
    words, lines = [], []
    for rates, place in ((_ablations(), "tables 3, 5 and 6"), (_own_rates(), "the rows of WorldVLA in table 2")):
        num = likeliest(rates, EPISODES)
        words.append(
            f"{fitting(rates, num)[0]} of the {len(rates)} distinct rates of {place} are k/{num} ({num // ROLLOUTS} tasks of "
            f"{ROLLOUTS} rollouts), where chance would give {chance_agreement(num) * len(rates):.1f}"
        )
    for num in EPISODES:
        line = [str(num // ROLLOUTS), str(num), f"{100 * chance_agreement(num):.1f} %"]
        for rates in (_ablations(), _own_rates()):
            fits, chance = fitting(rates, num)
            line += [f"{fits} of {len(rates)}", f"{chance:.1g}"]
        lines.append(line)
    header = ["Tasks", "Episodes", "A random rate", "Tables 3, 5, 6", "By chance", "WorldVLA", "There by chance"]
    rows: list[tuple[str, str, dict[Any, Any]]] = []
    for name in ("table2", "table3", "table6"):
        rows += [(f"Table {name[-1]}", str(key), row) for key, row in published(name).items()]
    for key, cells in published("table5").items():
        rows += [("Table 5", f"{key}, frames: {num}", {"goal": cell["rate"]}) for num, cell in cells.items()]
    counts = [[place, key, *[_counted(row.get(suite)) for suite in SUITES]] for place, key, row in rows]
    others = [_counted(rate) for rate in _ablations() if count(rate, likeliest(_ablations(), EPISODES)) is None]
    return [
        f"Episodes: {'; '.join(words)}.",
        "Distinct rates that are a count of so many episodes, and the probability that as many would be if the rates were "
        "random; to take the smallest of ten is a choice after the fact. A count halfway between two printed rates fits both. "
        f"Of the ablations' rates these are none: {', '.join(others) or 'all are'}.",
        table(header, lines, right=header),
        "The rows of table 2 other than WorldVLA's are of other models, whose numbers of rollouts may differ.",
        table(["Table", "Row", *[suite.capitalize() for suite in SUITES]], counts),
    ]


def _counted(rate: float | None) -> str:
    if rate is None:
        return ""
    found = [(count(rate, episodes), episodes) for episodes in COUNTED]
    return f"{rate}: " + (", ".join(f"{k}/{episodes}" for k, episodes in found if k is not None) or "neither")


def _averages() -> list[str]:
    lines, verdicts = [], []
    for name in ("table2", "table3", "table6"):
        for key, row in published(name).items():
            if AVERAGE in row:
                mean = sum((Decimal(str(row[suite])) for suite in SUITES), Decimal(0)) / len(SUITES)
                away = abs(mean - Decimal(str(row[AVERAGE])))
                # The printed mean is off by half a digit; the mean of four printed rates by as much again.
                verdicts.append(
                    "yes" if away <= Decimal("0.05") else "if unrounded" if away <= Decimal("0.1") else "no"
                )
                lines.append([f"Table {name[-1]}", str(key), str(row[AVERAGE]), f"{mean:f}", f"{away:f}", verdicts[-1]])
    explained = len(verdicts) - verdicts.count("no")
    return [
        f"Averages: {explained} of the {len(verdicts)} printed averages are the mean of their four suites, within rounding.",
        "Rounding explains a distance of 0.05 from the mean of the printed rates, and of 0.1 if the mean was taken before the "
        f"rates were rounded. The first explains {verdicts.count('yes')} of {len(verdicts)}, the second "
        f"{verdicts.count('if unrounded')} more.",
        table(["Table", "Row", "Printed", "Mean", "Apart", "Rounding"], lines, right=["Printed", "Mean", "Apart"]),
    ]


def _claims() -> list[str]:
    rows, lines, short = published("table3"), [], []
    groups = (*SUITES, AVERAGE)
    for key, (words, pairs) in CLAIMED.items():
        claim, spans = _range(published("section1")[key]), []
        for a, b in pairs:
            changes = {group: rows[a][group] - rows[b][group] for group in groups}
            relative = {group: 100 * changes[group] / rows[b][group] for group in groups}
            cells = [f"{changes[group]:+.1f} ({relative[group]:+.0f} %)" for group in groups]
            lines.append([words, claim, f"{a} against {b}", *cells, _inside(key, changes), _inside(key, relative)])
            ends = f"{min(changes.values()):+.1f} to {max(changes.values()):+.1f} points"
            spans.append(f"{ends}, {changes[AVERAGE]:+.1f} on average (row {a} against {b})")
        short.append(f"{words}, printed {claim}: {' and '.join(spans)}")
    header = ["Claim", "Printed", "Rows", *[group.capitalize() for group in groups]]
    return [
        f"Claims: {'; '.join(short)}.",
        "Differences in points, in brackets relative to the second row. The text says neither which of the two it means nor "
        "which rows; a change is inside a claim if it is so to the whole number. The text may also speak of figure 6, whose "
        "numbers are not printed.",
        table([*header, "Inside, points", "Inside, relative"], lines, right=header[3:]),
    ]


def _range(claim: dict[str, float]) -> str:
    low, high = claim["low"], claim["high"]
    return f"{low:+g} %" if low == high else f"{low:+g} to {high:+g} %"


def _inside(key: str, changes: dict[str, float]) -> str:
    low, high = (published("section1")[key][end] for end in ("low", "high"))
    return ", ".join(name for name, change in changes.items() if low - 0.5 <= round(change, 6) <= high + 0.5) or "none"


def _fvd() -> list[str]:
    world, joint, lines, short = published("table4")["world_model"], published("table4")["action_world_model"], [], []
    for frames in world:
        before, after = world[frames]["fvd"], joint[frames]["fvd"]
        relative = 100 * (after - before) / before
        inside = "no" if _inside("fvd", {"fvd": relative}) == "none" else "yes"
        lines.append([str(frames), f"{before}", f"{after}", f"{after - before:+.1f}", f"{relative:+.1f} %", inside])
        short.append(f"{relative:+.1f} % at {frames} frames")
    claim = _range(published("section1")["fvd"])
    header = ["Frames", "World model", "Action world model", "Change", "Relative", f"Is {claim}"]
    return [
        f"FVD, printed {claim}: {' and '.join(short)}.",
        "Lower is better. The number of clips is not stated and there is one run per model, so no interval can be given.",
        table(header, lines, right=header[:-1]),
    ]


def _timing() -> list[str]:
    without, chunks = published("table5")["without_chunking"], published("table5")["with_chunking"]
    times, lines = {}, []
    for frames, cells in without.items():
        both = cells["fps"], chunks[frames]["fps"]
        time = times[frames] = published_rates.query_time(*both, TABLE5_CHUNK, TOKENS_PER_ACTION)
        lines.append([str(frames), *map(str, both), f"{1000 * time.per_token:.1f} ms", f"{1000 * time.before:.0f} ms"])
    tokens, (fewest, most) = [1000 * time.per_token for time in times.values()], (min(times), max(times))
    frame = 1000 * (times[most].before - times[fewest].before) / (most - fewest)
    header = ["Frames of the history", "FPS, no chunks", "FPS, chunks", "Per token", "Before the first token"]
    return [
        f"Speed, an inference: table 5's frames per second imply {min(tokens):.1f} to {max(tokens):.1f} ms per decoded "
        f"token and {frame:.0f} ms per further frame of the history.",
        "Solved per line from FPS = K / (p + n t), with t per token, p before the first one, and "
        f"n = {TOKENS_PER_ACTION} K + 1 tokens for K = 1 and K = {TABLE5_CHUNK} actions. The paper states neither this "
        "formula nor the GPU; that the same t comes out of every line, within "
        f"{100 * (max(tokens) / min(tokens) - 1):.0f} %, is what speaks for it.",
        table(header, lines, right=header),
    ]
