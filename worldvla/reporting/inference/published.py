"""The paper's numbers, and whether ours can be compared with them."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from worldvla.params.benchmarks import NUM_INIT_STATES
from worldvla.params.report import ReportParams
from worldvla.reporting.inputs.runs import AVERAGE, SUITES, Run

NUMBERS = Path(__file__).with_name("published.yaml")


@cache
def _all_tables() -> dict[str, dict[Any, Any]]:
    return yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))


def published(table: str, *path: str | int) -> dict[Any, Any]:
    """Return the rows of one of the paper's tables, or one of them: ``published("table3", 5)["goal"]`` is in percent."""
    found = _all_tables()[table]
    for key in path:
        found = found[key]
    return found


def paper_rate(path: Sequence[str | int], suites: Sequence[str]) -> float | None:
    """Return the paper's success rate in percent on some suites: its printed average, or the mean of those that we have.

    Args:
        path: of a row of ``published.yaml``; empty where the paper has no such row. Table 5 has the goal suite alone.
        suites: ours; without a number of each there is none.
    """
    row = published(str(path[0]), *path[1:]) if path else {}
    rates: Mapping[str, float] = {"goal": row["rate"]} if "rate" in row else row
    if set(suites) == set(SUITES) and AVERAGE in rates:
        return rates[AVERAGE]
    return fmean(rates[suite] for suite in suites) if suites and all(suite in rates for suite in suites) else None


def comparability(params: ReportParams, released: Sequence[Run] = ()) -> str:
    """Return why our numbers cannot be compared with the paper's; where they can, what is left to judge.

    Args:
        params: what the reports are about.
        released: the runs, if the numbers are of the paper's own weights: their demonstrations and their model are the
            paper's whatever ours are, so that all else has to be.
    """
    ours = not released
    if params.benchmark == "libero":
        reasons = ["some of the tasks"] * any(chosen < every for chosen, every in params.num_tasks.values())
        reasons += ["other demonstrations"] * (ours and params.demonstrations == "scripted")
        reasons += ["other looks"] * (params.looks != "published")
    else:
        reasons = ["other benchmark"]
    reasons += ["other model"] * (ours and params.scale != "paper")
    if released:
        fewest = min(num for run in released for _, num in run.counts_by_task().values())
        reasons += ["fewer initial states"] * (fewest < NUM_INIT_STATES)
        simulators = [part.made_of["simulator"] for run in released for part in run.parts.values()]
        reasons += ["other assets"] * any("not the published ones" in words for words in simulators)
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable: see the interval"
