"""What the rollouts of a run left behind, as far as the reports need it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from worldvla.metrics.success import wilson
from worldvla.params.report import ReportParams

SUITES = ("goal", "object", "spatial", "long")  # in the order of the paper's table 3


@dataclass(frozen=True)
class Rate:
    """A success rate."""

    successes: int
    episodes: int

    @property
    def fraction(self) -> float:
        """The rate in [0, 1]."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson(self.successes, self.episodes)

    def __str__(self) -> str:
        """Return the counts."""
        return f"{self.successes}/{self.episodes}"


@dataclass(frozen=True)
class Run:
    """The rollouts of one variant on one suite."""

    name: str
    folder: Path
    episodes: list[dict[str, Any]]  # rows of episodes.parquet, by task and init state
    made_of: dict[str, str]  # sha256 by kind of input

    @property
    def rate(self) -> Rate:
        """The success rate of all episodes."""
        return _rate(self.episodes)

    @property
    def policy_failures(self) -> int:
        """Answers of the model that were no chunk of actions."""
        return sum(episode["policy_failures"] for episode in self.episodes)

    def rates_by_task(self) -> dict[str, Rate]:
        """Return the success rate of each task, in the suite's order; names with spaces."""
        tasks: dict[str, list[dict[str, Any]]] = {}
        for episode in self.episodes:
            tasks.setdefault(episode["task"].replace("_", " "), []).append(episode)
        return {task: _rate(episodes) for task, episodes in tasks.items()}

    def successes(self) -> dict[tuple[int, int], bool]:
        """Return task index and init state -> success."""
        return {(episode["task_index"], episode["init_state"]): episode["success"] for episode in self.episodes}


def _rate(episodes: list[dict[str, Any]]) -> Rate:
    return Rate(sum(episode["success"] for episode in episodes), len(episodes))


@dataclass(frozen=True)
class Absent:
    """A run without data, and why."""

    name: str
    planned: bool  # whether params.yaml asks for it

    def __str__(self) -> str:
        """Return what stands in its cell."""
        return f"missing: run `dvc repro rollout@{self.name}`" if self.planned else "not run"


def read_run(rollouts: Path, params: ReportParams, variant: str, suite: str) -> Run | Absent:
    """Return the rollouts of a variant on a suite, or why there are none."""
    name = f"{variant}-{suite}"
    folder = rollouts / name
    planned = variant in params.variants and suite in params.suites
    if not planned or not (folder / "episodes.parquet").exists():
        return Absent(name, planned)
    rows = pq.read_table(folder / "episodes.parquet").to_pylist()
    rows.sort(key=lambda episode: (episode["task_index"], episode["init_state"]))
    return Run(name, folder, rows, json.loads((folder / "made_of.json").read_text(encoding="utf-8")))


def shared_outcomes(first: Run, second: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return the successes (bool, [n]) of two runs on the initial states that both have seen."""
    a, b = first.successes(), second.successes()
    shared = [key for key in a if key in b]
    return np.array([a[key] for key in shared], bool), np.array([b[key] for key in shared], bool)
