"""What the rollouts of a run left behind, as far as the reports need it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from worldvla.data.protocols import held_out_tasks
from worldvla.metrics.success import wilson
from worldvla.params.report import ReportParams
from worldvla.params.trainings import run_name
from worldvla.reporting.trainings import difference, spread
from worldvla.simulation.videos import video_name

SUITES = ("goal", "object", "spatial", "long")  # the paper's, in the order of its table 3

TWO_KINDS = (
    "A model that is trained on two kinds of samples takes twice the steps of a model of one, so that it sees each kind "
    "about as often: where it does better, more training is part of it."
)

Start = tuple[str, int, int, int]  # suite, task index and initial state of an episode, and the training of its model
AUTHORS = 0  # the number of the training of the paper's own checkpoints


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

    rows: list[dict[str, Any]]  # of episodes.parquet with their training, by training, task and initial state
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

    @property
    def spread(self) -> str:
        """The rate of each training, and how far they lie apart; nothing where there is one."""
        trainings: dict[int, list[dict[str, Any]]] = {}
        for row in self.rows:
            trainings.setdefault(row["training"], []).append(row)
        return spread([_rate(rows).percent for _, rows in sorted(trainings.items())])

    def by_start(self) -> dict[Start, dict[str, Any]]:
        """Return the row of each episode by where it begins, in the order of trainings, tasks and initial states."""
        return {(row["suite"], row["task_index"], row["init_state"], row["training"]): row for row in self.rows}


@dataclass(frozen=True)
class Part:
    """Where the rollouts of one training come from."""

    name: str
    folder: Path
    made_of: dict[str, str]  # sha256 by kind of input; and the versions of the simulator's packages
    stage: str  # of dvc.yaml, with the name of its item


@dataclass(frozen=True)
class Run(Episodes):
    """The rollouts of one variant on one suite: of all its trainings."""

    parts: Mapping[int, Part]  # by the number of the training

    def films(self) -> dict[Start, Path]:
        """Return the video of each filmed episode, in the order of trainings, tasks and initial states."""
        paths = {
            start: self.parts[row["training"]].folder / video_name(row["task_index"], row["init_state"], row["success"])
            for start, row in self.by_start().items()
        }
        return {start: path for start, path in paths.items() if path.exists()}


@dataclass(frozen=True)
class Absent:
    """What has no data, or none that may be shown, and why."""

    stage: str  # of dvc.yaml that would write it, with the name of its item; or several, with spaces between them
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
    """Return the rollouts of a variant on a suite, or why there are none: a training of those asked for has none, or one was
    made otherwise than another.

    Args:
        rollouts: folder of all runs.
        params: what the reports are about; by ``ablation_tasks``, episodes of held-out tasks are left out here.
        variant: whose rollouts.
        suite: on which they were.
        every_task: whether the held-out tasks are scored whatever ``ablation_tasks`` says.
    """
    if suite in params.suites and variant in params.released:
        name = f"{variant}-{suite}"
        parts = {AUTHORS: (name, f"rollout_released@{name}")}
    elif variant not in params.variants or suite not in params.suites or not params.variants[variant].rollout:
        return Absent(f"rollout@{variant}-{suite}", planned=False)
    else:
        asked = params.variants[variant]
        names = {number: run_name(variant, suite, number) for number in asked.trainings}
        parts = {number: (name, f"{asked.stage('rollout')}@{name}") for number, name in names.items()}
    if missing := [stage for name, stage in parts.values() if not (rollouts / name / "episodes.parquet").exists()]:
        return Absent(" ".join(missing), planned=True)
    found = {number: _part(rollouts / name, stage) for number, (name, stage) in parts.items()}
    if unlike := difference({number: part.made_of for number, part in found.items()}):
        first, second, what = unlike
        stages = f"{found[first].stage} {found[second].stage}"
        return Absent(stages, planned=True, gap=f"refused: trainings {first} and {second} differ in {what}")
    rows = [row for number, part in found.items() for row in _rows(part.folder, number)]
    # Rollouts are of all chosen tasks of their suite, so that the rule finds the same ones as the split does.
    unseen = held_out_tasks((row["task"] for row in rows), params.split)
    left_out = [] if every_task or params.ablation_tasks == "all" else unseen
    return Run(
        [row for row in rows if row["task"] not in left_out],
        found,
        left_out=tuple((suite, task) for task in left_out),
        simulators=tuple(part.made_of["simulator"] for part in found.values()),
    )


def _part(folder: Path, stage: str) -> Part:
    return Part(folder.name, folder, json.loads((folder / "made_of.json").read_text(encoding="utf-8")), stage)


def _rows(folder: Path, training: int) -> list[dict[str, Any]]:
    """Return the rows of one training's episodes, by task and initial state."""
    rows = pq.read_table(folder / "episodes.parquet").to_pylist()
    rows.sort(key=lambda row: (row["task_index"], row["init_state"]))
    return [{**row, "training": training} for row in rows]


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
    """Return the successes (bool, [n]) of two runs on the initial states that both have seen, training by training."""
    a, b = first.by_start(), second.by_start()
    shared = [start for start in a if start in b]
    outcomes = np.array([(a[start]["success"], b[start]["success"]) for start in shared], bool).reshape(-1, 2)
    return outcomes[:, 0], outcomes[:, 1]


def _rate(rows: list[dict[str, Any]]) -> Rate:
    return Rate(sum(row["success"] for row in rows), len(rows))
