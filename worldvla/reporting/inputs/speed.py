"""What the stage speed left behind: how many actions a policy decides on in a second."""

import json
from dataclasses import dataclass
from pathlib import Path

from worldvla.params.report import ReportParams
from worldvla.params.trainings import ONCE, run_name
from worldvla.reporting.inputs.runs import Absent


@dataclass(frozen=True)
class Speed:
    """The speed of one policy, one query at a time."""

    actions_per_s: float
    slow_actions_per_s: float  # between this and the next lies the middle half of the queries
    fast_actions_per_s: float
    query_ms: float  # median of the queries: encode the new frames and decode a chunk
    num_queries: int
    hardware: str
    commit: str
    date: str

    def __str__(self) -> str:
        """Return the actions per second, to two digits: the noise of a query is larger than the third."""
        speeds = (self.actions_per_s, self.slow_actions_per_s, self.fast_actions_per_s)
        median, low, high = (f"{float(f'{one:.2g}'):g}" for one in speeds)
        return f"{median} ({low} to {high})"


def read_speed(folder: Path, params: ReportParams, variant: str, suite: str) -> Speed | Absent:
    """Return how fast a variant's first training answers on a suite, or why there is no such number."""
    name = run_name(variant, suite, *ONCE)
    path = folder / f"{name}.json"
    planned = variant in params.variants and params.variants[variant].speed
    if not planned or not path.exists():
        return Absent(f"speed@{name}", planned, "not measured")
    record = json.loads(path.read_text(encoding="utf-8"))
    return Speed(**{field: record[field] for field in Speed.__dataclass_fields__})
