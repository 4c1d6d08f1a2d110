"""What the rollouts of a run left behind, as far as the reports need it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from worldvla.data.protocols import held_out_tasks
from worldvla.metrics.success import wilson
from worldvla.params.report import ReportParams
from worldvla.simulation.videos import video_name

SUITES = ("goal", "object", "spatial", "long")  # the paper's, in the order of its table 3

TWO_KINDS = (
    "A model that is trained on two kinds of samples takes twice the steps of a model of one, so that it sees each kind "
    "about as often: where it does better, more training is part of it."
)

Start = tuple[str, int, int]  # where an episode begins: suite, task index, initial state


@dataclass(frozen=True)
class Rate:
    """A success rate."""

    successes: int
    episodes: int

    @property
    def percent(self) -> float:
        """The rate in [0, 100]."""
        return 100 * self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval, in percent."""
        low, high = wilson(self.successes, self.episodes)
        return 100 * low, 100 * high

    def __str__(self) -> str:
        """Return the counts."""
        return f"{self.successes}/{self.episodes}"


@dataclass(frozen=True)
class Episodes:
    """Rollouts of one variant, of one suite or of several."""

    rows: list[dict[str, Any]]  # of episodes.parquet, by task and initial state
    left_out: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)  # suite and task of what is not scored
    simulators: tuple[str, ...] = field(default=(), kw_only=True)  # packages with versions, and LIBERO's assets

    @property
    def rate(self) -> Rate:
        """The success rate of all episodes."""
        return _rate(self.rows)

    @property
    def policy_failures(self) -> int:
        """Answers of the model that were no chunk of actions."""
        return sum(row["policy_failures"] for row in self.rows)

    def rates_by_task(self) -> dict[str, Rate]:
        """Return the success rate of each task, in the suite's order; names with spaces."""
        tasks: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            tasks.setdefault(instruction(row), []).append(row)
        return {task: _rate(rows) for task, rows in tasks.items()}

    def by_start(self) -> dict[Start, dict[str, Any]]:
        """Return the row of each episode by where it begins, in the order of tasks and initial states."""
        return {(row["suite"], row["task_index"], row["init_state"]): row for row in self.rows}


@dataclass(frozen=True)
class Run(Episodes):
    """The rollouts of one variant on one suite."""

    name: str
    folder: Path
    made_of: dict[str, str]  # sha256 by kind of input; and the versions of the simulator's packages
    stage: str  # of dvc.yaml, with the name of its item

    def films(self) -> dict[Start, Path]:
        """Return the video of each filmed episode, in the order of tasks and initial states."""
        paths = {
            start: self.folder / video_name(row["task_index"], row["init_state"], row["success"])
            for start, row in self.by_start().items()
        }
        return {start: path for start, path in paths.items() if path.exists()}


@dataclass(frozen=True)
class Absent:
    """What has no data, and why."""

    stage: str  # the stage of dvc.yaml that would write it, with the name of its item
    planned: bool  # whether params.yaml asks for it
    gap: str = "missing"

    def __str__(self) -> str:
        """Return what stands in its cell."""
        return f"{self.gap}: run `dvc repro {self.stage}`" if self.planned else "not run"


def in_order(suites: Iterable[str]) -> list[str]:
    """Return suites in the order of the paper's table 3, suites of other names after them."""
    return sorted(suites, key=[*SUITES, *suites].index)


def instruction(row: dict[str, Any]) -> str:
    """Return what an episode of ``episodes.parquet`` was told to do."""
    return row["task"].replace("_", " ")


def read_run(
    rollouts: Path, params: ReportParams, variant: str, suite: str, *, every_task: bool = False
) -> Run | Absent:
    """Return the rollouts of a variant on a suite, or why there are none.

    Args:
        rollouts: folder of all runs.
        params: what the reports are about; by ``ablation_tasks``, episodes of held-out tasks are left out here.
        variant: whose rollouts.
        suite: on which they were.
        every_task: whether the held-out tasks are scored whatever ``ablation_tasks`` says.
    """
    name = f"{variant}-{suite}"
    folder = rollouts / name
    if suite in params.suites and variant in params.released:
        stage = f"rollout_released@{name}"
    elif variant not in params.variants or suite not in params.suites or not params.variants[variant].rollout:
        return Absent(f"rollout@{name}", planned=False)
    else:
        stage = f"{params.variants[variant].stage('rollout')}@{name}"
    if not (folder / "episodes.parquet").exists():
        return Absent(stage, planned=True)
    rows = pq.read_table(folder / "episodes.parquet").to_pylist()
    rows.sort(key=lambda row: (row["task_index"], row["init_state"]))
    # Rollouts are of all chosen tasks of their suite, so that the rule finds the same ones as the split does.
    unseen = held_out_tasks((row["task"] for row in rows), params.split)
    left_out = [] if every_task or params.ablation_tasks == "all" else unseen
    made_of = json.loads((folder / "made_of.json").read_text(encoding="utf-8"))
    return Run(
        [row for row in rows if row["task"] not in left_out],
        name,
        folder,
        made_of,
        stage,
        left_out=tuple((suite, task) for task in left_out),
        simulators=(made_of["simulator"],),
    )


def pooled(runs: Iterable[Run | Absent]) -> Episodes | Absent:
    """Return the episodes of a variant on all suites together; if a suite has no data, the first such gap."""
    rows, left_out, simulators = [], [], []
    for run in runs:
        if isinstance(run, Absent):
            return run
        rows += run.rows
        left_out += run.left_out
        simulators += run.simulators
    return Episodes(rows, left_out=tuple(left_out), simulators=tuple(simulators))


def shared_outcomes(first: Episodes, second: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """Return the successes (bool, [n]) of two runs on the initial states that both have seen."""
    a, b = first.by_start(), second.by_start()
    shared = [start for start in a if start in b]
    outcomes = np.array([(a[start]["success"], b[start]["success"]) for start in shared], bool).reshape(-1, 2)
    return outcomes[:, 0], outcomes[:, 1]


def _rate(rows: list[dict[str, Any]]) -> Rate:
    return Rate(sum(row["success"] for row in rows), len(rows))
