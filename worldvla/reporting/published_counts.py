"""Which counts the paper's success rates are: number of episodes, and averages recomputed."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

from worldvla.metrics import published_rates
from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.runs import SUITES
from worldvla.reporting.successes import AVERAGE

ROLLOUTS = 50  # per task: section 4.1
TASKS = range(1, 11)  # a suite has ten
COUNTED = (450, 500)


def ablations() -> list[float]:
    """Return the distinct success rates of tables 3, 5 and 6, in percent and without averages."""
    rows = [*published("table3").values(), *published("table6").values()]
    rates = {row[suite] for row in rows for suite in SUITES}
    return sorted(rates | {cell["rate"] for row in published("table5").values() for cell in row.values()})


def own_rates() -> list[float]:
    """Return the distinct success rates of WorldVLA in table 2, in percent and without averages."""
    rows = [row for name, row in published("table2").items() if name.startswith("worldvla")]
    return sorted({row[suite] for row in rows for suite in SUITES})


@dataclass(frozen=True)
class Protocol:
    """A number of tasks per suite, and which rates it explains."""

    tasks: int
    rates: Sequence[float]

    @classmethod
    def likeliest(cls, rates: Sequence[float]) -> "Protocol":
        """Return the number of tasks whose agreement with the rates would be the rarest chance."""
        return min((cls(tasks, rates) for tasks in TASKS), key=lambda protocol: protocol.chance)

    @property
    def episodes(self) -> int:
        """Per suite and row."""
        return self.tasks * ROLLOUTS

    @property
    def fitting(self) -> int:
        """Number of rates that are a count."""
        return sum(published_rates.count(rate, self.episodes) is not None for rate in self.rates)

    @property
    def chance(self) -> float:
        """Probability that as many random rates fit."""
        agreement = published_rates.chance_agreement(self.episodes)
        return published_rates.chance_of_as_many(self.fitting, len(self.rates), agreement)

    def words(self, place: str) -> str:
        """Return the finding, without a full stop."""
        expected = published_rates.chance_agreement(self.episodes) * len(self.rates)
        return (
            f"{self.fitting} of the {len(self.rates)} distinct rates of {place} are k/{self.episodes} ({self.tasks} "
            f"tasks of {ROLLOUTS} rollouts), where chance would give {expected:.1f}"
        )


def counts() -> list[str]:
    """Return the explanation and the table of every printed rate as a count."""
    rows: list[tuple[str, str, dict[Any, Any]]] = []
    for name in ("table2", "table3", "table6"):
        rows += [(f"Table {name[-1]}", str(key), row) for key, row in published(name).items()]
    for key, cells in published("table5").items():
        rows += [("Table 5", f"{key}, frames: {num}", {"goal": cell["rate"]}) for num, cell in cells.items()]
    lines = [
        [place, key, *[_counted(row.get(suite)) for suite in SUITES]]
        for place, key, row in sorted(rows, key=itemgetter(0))
    ]
    fits = [[_counted(row[suite]).count("/") for suite in SUITES if suite in row] for _, _, row in rows]
    num = [sum(row.count(kind) for row in fits) for kind in range(3)]
    return [
        f"Of {sum(num)} printed rates {num[2]} are both k/450 and k/500, {num[1]} are one of them, {num[0]} are "
        "neither. The rows of table 2 other than WorldVLA's are of other models, whose numbers of rollouts may differ.",
        table(["Table", "Row", *[suite.capitalize() for suite in SUITES]], lines),
    ]


def _counted(rate: float | None) -> str:
    if rate is None:
        return ""
    found = [(published_rates.count(rate, episodes), episodes) for episodes in COUNTED]
    return f"{rate}: " + (", ".join(f"{k}/{episodes}" for k, episodes in found if k is not None) or "neither")


def episodes() -> list[str]:
    """Return the explanation and the table of how many tasks explain how many rates."""
    header = [
        "Tasks",
        "Episodes",
        "A random rate",
        "Tables 3, 5, 6",
        "By chance",
        "WorldVLA, table 2",
        "There by chance",
    ]
    lines = []
    for tasks in TASKS:
        line = [str(tasks), str(tasks * ROLLOUTS), f"{100 * published_rates.chance_agreement(tasks * ROLLOUTS):.1f} %"]
        for rates in (ablations(), own_rates()):
            protocol = Protocol(tasks, rates)
            line += [f"{protocol.fitting} of {len(rates)}", f"{protocol.chance:.1g}"]
        lines.append(line)
    best = Protocol.likeliest(ablations())
    others = [
        _counted(rate).replace(": ", " (") + ")"
        for rate in best.rates
        if published_rates.count(rate, best.episodes) is None
    ]
    return [
        f"Distinct rates that are a count of so many episodes, {ROLLOUTS} per task, and the probability that as many "
        "would be if the rates were random; to take the smallest of ten is a choice after the fact. A count halfway "
        "between two printed rates fits both. The ablations' rates that are not "
        f"k/{best.episodes}: {', '.join(others) or 'none'}.",
        table(header, lines, right=header),
    ]


def averages() -> list[str]:
    """Return the finding, the explanation and the table of the averages recomputed from their suites."""
    lines, verdicts = [], []
    for name in ("table2", "table3", "table6"):
        for key, row in published(name).items():
            if AVERAGE not in row:
                continue
            mean = sum((Decimal(str(row[suite])) for suite in SUITES), Decimal(0)) / len(SUITES)
            away = abs(mean - Decimal(str(row[AVERAGE])))
            # The printed mean is off by half a digit; the mean of four printed rates by as much again.
            verdicts.append("yes" if away <= Decimal("0.05") else "if unrounded" if away <= Decimal("0.1") else "no")
            lines.append([f"Table {name[-1]}", str(key), str(row[AVERAGE]), f"{mean:f}", f"{away:f}", verdicts[-1]])
    explained = len(verdicts) - verdicts.count("no")
    return [
        f"Averages: {explained} of the {len(verdicts)} printed averages are the mean of their four suites, within "
        "rounding.",
        "Rounding explains a distance of 0.05 from the mean of the printed rates, and of 0.1 if the mean was taken "
        f"before the rates were rounded. The first explains {verdicts.count('yes')} of {len(verdicts)}, the second "
        f"{verdicts.count('if unrounded')} more.",
        table(["Table", "Row", "Printed", "Mean", "Apart", "Rounding"], lines, right=["Printed", "Mean", "Apart"]),
    ]
