"""What the stage speed left behind: how many actions a policy decides on in a second."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.params.trainings import ONCE, run_name
from worldvla.reporting.runs import Absent, in_order
from worldvla.reporting.successes import Row


@dataclass(frozen=True)
class Speed:
    """The speed of one policy, one query at a time."""

    actions_per_s: float
    query_ms: float  # median of the queries: encode the new frames and decode a chunk
    num_queries: int
    hardware: str
    commit: str
    date: str

    def __str__(self) -> str:
        """Return the actions per second."""
        return f"{self.actions_per_s:.2f}"


Speeds = Mapping[str, Mapping[str, Speed | Absent]]  # suite -> row's key -> speed


def read_speeds(folder: Path, params: ReportParams, rows: Sequence[Row]) -> Speeds:
    """Return the speeds of a table's rows, suites in the paper's order."""
    return {
        suite: {row.key: _read(folder, params, row.variant, suite) for row in rows} for suite in in_order(params.suites)
    }


def _read(folder: Path, params: ReportParams, variant: str, suite: str) -> Speed | Absent:
    name = run_name(variant, suite, *ONCE)
    path = folder / f"{name}.json"
    planned = variant in params.variants and params.variants[variant].speed
    if not planned or not path.exists():
        return Absent(f"speed@{name}", planned, "not measured")
    record = json.loads(path.read_text(encoding="utf-8"))
    return Speed(**{field: record[field] for field in Speed.__dataclass_fields__})
