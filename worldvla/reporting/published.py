"""The paper's numbers, and whether ours can be compared with them."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from worldvla.params.report import ReportParams

NUMBERS = Path(__file__).with_name("published.yaml")


@cache
def _all_tables() -> dict[str, dict[Any, dict[Any, Any]]]:
    return yaml.safe_load(NUMBERS.read_text(encoding="utf-8"))


def published(table: str) -> dict[Any, dict[Any, Any]]:
    """Return the rows of one of the paper's tables, e.g. ``published("table3")[5]["goal"]`` in percent."""
    return _all_tables()[table]


def comparability(params: ReportParams) -> str:
    """Return why our numbers cannot be compared with the paper's; where they can, what is left to judge."""
    if params.benchmark == "libero":
        reasons = ["some of the tasks"] * any(chosen < every for chosen, every in params.num_tasks.values())
        reasons += ["other demonstrations"] * (params.demonstrations == "scripted")
        reasons += ["other looks"] * (params.looks != "published")
    else:
        reasons = ["other benchmark"]
    reasons += ["other model"] * (params.scale != "paper")
    return f"not comparable: {', '.join(reasons)}" if reasons else "comparable: see the interval"
