"""How episodes ended: the rows that a rollout leaves, and what a person reads at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldvla.metrics.success import wilson
from worldvla.simulation.lanes import Episode


@dataclass(frozen=True, eq=False)
class Outcome:
    """How an episode ended."""

    episode: Episode
    success: bool
    actions: np.ndarray  # float64 [num_steps, 7], as executed
    policy_failures: int  # answers that were no chunk; the episode ends with the first

    @property
    def task_index(self) -> int:
        """The task's place in its suite."""
        return self.episode.task.index

    @property
    def init_state(self) -> int:
        """The number of the initial state among the task's."""
        return self.episode.init_state


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write one row per episode as parquet, with the same bytes for the same outcomes."""
    table = pa.table(
        {
            "suite": pa.array([outcome.episode.task.suite for outcome in outcomes], pa.string()),
            "task": pa.array([outcome.episode.task.name for outcome in outcomes], pa.string()),
            "task_index": pa.array([outcome.task_index for outcome in outcomes], pa.int32()),
            "init_state": pa.array([outcome.init_state for outcome in outcomes], pa.int32()),
            "success": pa.array([outcome.success for outcome in outcomes], pa.bool_()),
            "num_steps": pa.array([len(outcome.actions) for outcome in outcomes], pa.int32()),
            "policy_failures": pa.array([outcome.policy_failures for outcome in outcomes], pa.int32()),
        }
    )
    pq.write_table(table, path)


def describe(outcomes: Sequence[Outcome]) -> str:
    """Return lines with successes and 95 % intervals, per task and together."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.episode.task.language, []).append(outcome)
    lines = []
    for name, group in [*groups.items(), ("all tasks", list(outcomes))]:
        successes = sum(outcome.success for outcome in group)
        low, high = wilson(successes, len(group))
        lines.append(f"{successes:4d}/{len(group):<4d} {low:6.1%} to {high:6.1%}  {name}")
    if failures := sum(outcome.policy_failures for outcome in outcomes):
        lines.append(f"{failures} episodes ended because the model's answer was no chunk of actions")
    return "\n".join(lines)
