"""How sure the paper's differences of success rates are, at its own number of episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

from worldvla.metrics import published_rates
from worldvla.metrics.published_rates import Unpaired
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.runs import SUITES
from worldvla.reporting.successes import AVERAGE, SIGNIFICANCE, points


@dataclass(frozen=True)
class Difference:
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
            return "inconclusive"
        way = "higher" if self.result.difference > 0 else "lower"
        return way if self.corrected < SIGNIFICANCE else f"{way}, but not corrected"


def differences(ablations: int, own: int) -> list[Difference]:
    """Compare the rows that the paper compares, suite by suite and on average.

    Args:
        ablations: episodes per suite and row of tables 3 and 6; the average is of four times as many.
        own: the same of table 2.
    """
    rows3, rows6, rows2 = published("table3"), published("table6"), published("table2")
    pairs = [("Table 3", f"{a} against {b}", rows3[a], rows3[b]) for a, b in [(2, 1), (5, 4), (4, 3), (4, 1), (3, 1)]]
    pairs.append(
        ("Table 6", "with against without", rows6["with_world_pretraining"], rows6["without_world_pretraining"])
    )
    pairs += [
        ("Table 2", f"{name} against openvla", rows2[name], rows2["openvla"])
        for name in ("worldvla_256", "worldvla_512")
    ]
    found = []
    for place, names, first, second in pairs:
        for group in (*SUITES, AVERAGE):
            episodes = (own if place == "Table 2" else ablations) * (len(SUITES) if group == AVERAGE else 1)
            rates = (first[group], second[group])
            found.append((place, names, group, rates, episodes, published_rates.unpaired(*rates, episodes)))
    corrected = published_rates.holm([result.p_value for *_, result in found])
    return [
        Difference(place, names, group, rates, episodes, result, p_value)
        for (place, names, group, rates, episodes, result), p_value in zip(found, corrected, strict=True)
    ]


def lines(compared: Sequence[Difference]) -> str:
    """Return the table of some differences."""
    header = ["Table", "Rows", "Suite", "Rates", "n", "Difference", "95 % interval", "z", "p", "Corrected", "Needed"]
    rows = []
    for one in compared:
        result, needed = one.result, published_rates.episodes_needed(*one.rates)
        row = [one.table, one.rows, one.group, f"{one.rates[0]} and {one.rates[1]}", str(one.episodes)]
        row += [points(result.difference), f"{result.low:+.1f} to {result.high:+.1f}", f"{result.z:+.2f}"]
        row += [_p(result.p_value), _p(one.corrected), "never" if needed is None else str(needed), one.reads]
        rows.append(row)
    return table([*header, "Reads"], rows, right=header[3:])


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _equal_p(value: float) -> str:
    return f"p {_p(value)}" if value < 0.001 else f"p = {_p(value)}"


def in_short(compared: Sequence[Difference]) -> str:
    """Return the finding about all differences."""
    single = sum(one.result.p_value < SIGNIFICANCE for one in compared)
    corrected = sum(one.corrected < SIGNIFICANCE for one in compared)
    means = ", ".join(
        f"{one.rows} {points(one.result.difference)} ({_equal_p(one.result.p_value)}, {one.reads})"
        for one in compared
        if one.group == AVERAGE and one.table == "Table 3"
    )
    return (
        f"Differences: {single} of {len(compared)} have p < {SIGNIFICANCE} at the paper's own n, {corrected} still "
        f"do when corrected for their number. Rows of table 3 on average: {means}."
    )
