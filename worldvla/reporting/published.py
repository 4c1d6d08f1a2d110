"""The paper's numbers, and whether ours can be compared with them."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from worldvla.params.benchmarks import NUM_INIT_STATES
from worldvla.params.report import ReportParams
from worldvla.reporting.runs import Episodes

NUMBERS = Path(__file__).with_name("published.yaml")


@cache
def _all_tables() -> dict[str, dict[Any, dict[Any, Any]]]:
    return yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))


def published(table: str) -> dict[Any, dict[Any, Any]]:
    """Return the rows of one of the paper's tables, e.g. ``published("table3")[5]["goal"]`` in percent."""
    return _all_tables()[table]


def comparability(params: ReportParams, released: Episodes | None = None) -> str:
    """Return why our numbers cannot be compared with the paper's; where they can, what is left to judge.

    Args:
        params: what the reports are about.
        released: the episodes, if the numbers are of the paper's own weights: their demonstrations and their model are the
            paper's whatever ours are, so that all else has to be.
    """
    ours = released is None
    if params.benchmark == "libero":
        reasons = ["some of the tasks"] * any(chosen < every for chosen, every in params.num_tasks.values())
        reasons += ["other demonstrations"] * (ours and params.demonstrations == "scripted")
        reasons += ["other looks"] * (params.looks != "published")
    else:
        reasons = ["other benchmark"]
    reasons += ["other model"] * (ours and params.scale != "paper")
    if released is not None:
        fewest = min(rate.episodes for rate in released.rates_by_task().values())
        reasons += ["fewer initial states"] * (fewest < NUM_INIT_STATES)
        reasons += ["other assets"] * any("not the published ones" in words for words in released.simulators)
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable: see the interval"
