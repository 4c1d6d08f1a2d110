"""What the stage speed left behind: how long the queries of a suite's policies took, which were asked in turns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from worldvla.metrics.rounds import Estimate, per_query, times_as_fast
from worldvla.params.report import ReportParams
from worldvla.reporting.inputs.runs import Absent


@dataclass(frozen=True)
class Timed:
    """The queries of one policy."""

    chunk: int  # actions per answer
    query_ms: list[float]  # by round

    @property
    def median_ms(self) -> float:
        """The median query: encode the new frames and decode a chunk."""
        return median(self.query_ms)


@dataclass(frozen=True)
class Speeds:
    """The queries of a suite's policies, round by round; those with chunks of the same length are of the same rounds."""

    policies: Mapping[str, Timed]  # by variant
    hardware: str
    commit: str
    date: str
    seed: int  # of the intervals

    def actions_per_s(self, variant: str) -> Estimate:
        """Return how many actions a policy decides on in a second."""
        timed = self.policies[variant]
        return per_query([ms / 1e3 for ms in timed.query_ms], timed.chunk, self.seed)

    def ratio(self, variant: str, other: str) -> Estimate | None:
        """Return how many times as fast a policy is as another one; None if the two were not asked in the same rounds."""
        if not {variant, other} <= set(self.policies):
            return None
        one, two = self.policies[variant], self.policies[other]
        return times_as_fast(one.query_ms, two.query_ms, self.seed) if one.chunk == two.chunk else None


def read_speeds(folder: Path, params: ReportParams, suite: str) -> Speeds | None:
    """Return how fast the first trainings of a suite answer; None if nothing was timed."""
    path = folder / f"{suite}.json"
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    policies = {name: Timed(found["chunk"], found["query_ms"]) for name, found in record["policies"].items()}
    return Speeds(policies, record["hardware"], record["commit"], record["date"], params.seed)


def not_timed(params: ReportParams, variant: str, suite: str) -> Absent:
    """Return why there is no speed of a variant."""
    planned = variant in params.variants and params.variants[variant].speed
    return Absent(f"speed@{suite}", planned, "not measured")
