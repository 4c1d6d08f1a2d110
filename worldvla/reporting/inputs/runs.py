"""What the rollouts of a run left behind, as far as the reports need it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq

from worldvla.data.protocols import held_out_tasks
from worldvla.params.report import ReportParams
from worldvla.params.trainings import planned_name, run_name
from worldvla.simulation.videos import video_name

SUITES = ("goal", "object", "spatial", "long")  # the paper's, in the order of its table 3
AVERAGE = "average"  # the name of all suites together
AUTHORS = 0  # the number of the training of the paper's own checkpoints
# What all trainings of a row share: key of what a run was made of -> in words.
SHARED = {
    "recipe": "params of the training",
    "trained_by": "code of the training",
    "data": "training data",
    "tokenizer": "tokenizer",
    "params": "params",
    "code": "code",
    "simulator": "simulator",
}

State = tuple[int, int]  # index of the task and number of the initial state
Start = tuple[int, int, int]  # number of the training, index of the task and number of the initial state


@dataclass(frozen=True)
class Part:
    """Where the rollouts of one training come from."""

    name: str
    folder: Path
    made_of: dict[str, str]  # sha256 by kind of input; and the versions of the simulator's packages
    stage: str  # of dvc.yaml, with the name of its item


@dataclass(frozen=True)
class Run:
    """The rollouts of one variant on one suite: of all its trainings."""

    variant: str
    suite: str
    rows: Sequence[dict[str, Any]]  # of episodes.parquet with their training, by training, task and initial state
    parts: Mapping[int, Part]  # by the number of the training
    left_out: Sequence[str] = ()  # tasks that are not scored

    @property
    def counts(self) -> tuple[int, int]:
        """Successes and episodes of all trainings."""
        return sum(row["success"] for row in self.rows), len(self.rows)

    @property
    def states(self) -> dict[State, float]:
        """By initial state the share of the trainings that solve it."""
        found: dict[State, list[bool]] = {}
        for row in self.rows:
            found.setdefault((row["task_index"], row["init_state"]), []).append(row["success"])
        return {state: fmean(outcomes) for state, outcomes in found.items()}

    def rates(self, states: Iterable[State] | None = None) -> dict[int, float]:
        """Return the success rate of each training in percent, on some initial states or on all."""
        some = None if states is None else set(states)
        found: dict[int, list[float]] = {}
        for row in self.rows:
            if some is None or (row["task_index"], row["init_state"]) in some:
                found.setdefault(row["training"], []).append(100.0 * row["success"])
        return {training: fmean(outcomes) for training, outcomes in found.items()}

    def counts_by_task(self) -> dict[str, tuple[int, int]]:
        """Return successes and episodes of each task, in the suite's order; names with spaces."""
        found: dict[str, tuple[int, int]] = {}
        for row in self.rows:
            successes, episodes = found.get(instruction(row), (0, 0))
            found[instruction(row)] = successes + row["success"], episodes + 1
        return found

    def films(self) -> dict[Start, tuple[dict[str, Any], Path]]:
        """Return row and video of each filmed episode, in the order of trainings, tasks and initial states."""
        found = {}
        for row in self.rows:
            video = video_name(row["task_index"], row["init_state"], row["success"])
            if (path := self.parts[row["training"]].folder / video).exists():
                found[row["training"], row["task_index"], row["init_state"]] = row, path
        return found


@dataclass(frozen=True)
class Absent:
    """What has no data, or none that may be shown, and why."""

    stage: str  # of dvc.yaml that would write it, with the name of its item; or several, with spaces between them
    planned: bool  # whether params.yaml asks for it
    gap: str = "missing"

    def __str__(self) -> str:
        """Return what stands in its cell."""
        return f"{self.gap}: run `dvc repro {self.stage}`" if self.planned else "not run"


class Rollouts:
    """The rollouts of all variants, each read when it is asked for."""

    def __init__(self, folder: Path, params: ReportParams):
        """Read from a folder of all runs, by what the reports are about."""
        self.folder, self.params = folder, params
        self._read: dict[tuple[str, str], Run | Absent] = {}

    def run(self, variant: str, suite: str) -> Run | Absent:
        """Return the rollouts of a variant on a suite, or why there are none.

        A training of those asked for has none, or was made otherwise than another. By ``ablation_tasks``, episodes of held-out
        tasks are left out, but of models that were trained on every episode, and of the paper's own.
        """
        key = variant, suite
        if key not in self._read:
            self._read[key] = self._run(variant, suite)
        return self._read[key]

    def all_of(self, variant: str, suites: Sequence[str]) -> list[Run] | Absent:
        """Return the runs of a variant, one per suite; if a suite has none, the first such gap."""
        runs = [self.run(variant, suite) for suite in suites]
        gaps = [run for run in runs if isinstance(run, Absent)]
        return gaps[0] if gaps else [run for run in runs if isinstance(run, Run)]

    @property
    def read(self) -> list[Run]:
        """All runs that were asked for and have data, by variant and suite."""
        return [run for _, run in sorted(self._read.items()) if isinstance(run, Run)]

    def outcomes(self) -> Iterator[dict[str, Any]]:
        """Yield every episode that is there, with its variant and run, and whether a page counts it (``scored``).

        None does of a row with a training missing, or refused, nor on a task that is left out.
        """
        planned = map(planned_name, self.params.planning)
        names = (*self.params.variants, *planned, *self.params.released)
        for variant, suite in product(names, in_order(self.params.suites)):
            run = self.run(variant, suite)
            for number, (name, _) in self._asked(variant, suite).items():
                if (self.folder / name / "episodes.parquet").exists():
                    for row in _rows(self.folder / name, number):
                        scored = isinstance(run, Run) and row["task"] not in run.left_out
                        yield {**row, "suite": suite, "variant": variant, "run": name, "scored": scored}

    def _asked(self, variant: str, suite: str) -> dict[int, tuple[str, str]]:
        """Return name and stage of each rollout that a row is of, by the number of its training; nothing if none is asked for."""
        params = self.params
        planner = params.planner(variant)
        if suite in params.suites and variant in params.released:
            return {AUTHORS: (f"{variant}-{suite}", f"rollout_released@{variant}-{suite}")}
        if suite in params.suites and planner in params.variants:
            numbers = params.variants[planner].trainings
            stages = {number: f"rollout_planned@{run_name(planner, suite, number)}" for number in numbers}
            return {number: (run_name(variant, suite, number), stage) for number, stage in stages.items()}
        if variant not in params.variants or suite not in params.suites or not params.variants[variant].rollout:
            return {}
        asked = params.variants[variant]
        names = {number: run_name(variant, suite, number) for number in asked.trainings}
        return {number: (name, f"{asked.stage('rollout')}@{name}") for number, name in names.items()}

    def _run(self, variant: str, suite: str) -> Run | Absent:
        params, parts = self.params, self._asked(variant, suite)
        if not parts:
            return Absent(f"rollout@{variant}-{suite}", planned=False)
        if missing := [
            stage for name, stage in parts.values() if not (self.folder / name / "episodes.parquet").exists()
        ]:
            return Absent(" ".join(missing), planned=True)
        found = {number: _part(self.folder / name, stage) for number, (name, stage) in parts.items()}
        if unlike := unlike_trainings({number: part.made_of for number, part in found.items()}):
            first, second, what = unlike
            stages = f"{found[first].stage} {found[second].stage}"
            return Absent(stages, planned=True, gap=f"refused: trainings {first} and {second} differ in {what}")
        rows = [row for number, part in found.items() for row in _rows(part.folder, number)]
        # Rollouts are of all chosen tasks of their suite, so that the rule finds the same ones as the split does.
        unseen = held_out_tasks((row["task"] for row in rows), params.split)
        every = variant in params.released or params.variants[params.planner(variant) or variant].episodes == "all"
        left_out = [] if every or params.ablation_tasks == "all" else unseen
        return Run(variant, suite, [row for row in rows if row["task"] not in left_out], found, left_out)


def in_order(suites: Iterable[str]) -> list[str]:
    """Return suites in the order of the paper's table 3, suites of other names after them."""
    return sorted(suites, key=[*SUITES, *suites].index)


def groups(params: ReportParams) -> dict[str, list[str]]:
    """Return what has numbers of its own: each suite and, if there is more than one, their average."""
    suites = in_order(params.suites)
    return {suite: [suite] for suite in suites} | ({AVERAGE: suites} if len(suites) > 1 else {})


def instruction(row: Mapping[str, Any]) -> str:
    """Return what an episode of ``episodes.parquet`` was told to do."""
    return row["task"].replace("_", " ")


def unlike_trainings(made_of: Mapping[int, Mapping[str, str]]) -> tuple[int, int, str] | None:
    """Return the first two trainings that may not be taken together, and in which they differ; None if all may.

    Args:
        made_of: number of the training -> what its run was made of.
    """
    (first, expected), *others = made_of.items()
    for number, found in others:
        if words := [name for key, name in SHARED.items() if found.get(key) != expected.get(key)]:
            return first, number, " and ".join(words)
    return None


def _part(folder: Path, stage: str) -> Part:
    return Part(folder.name, folder, json.loads((folder / "made_of.json").read_text(encoding="utf-8")), stage)


def _rows(folder: Path, training: int) -> list[dict[str, Any]]:
    """Return the rows of one training's episodes, by task and initial state."""
    rows = pq.read_table(folder / "episodes.parquet").to_pylist()
    rows.sort(key=lambda row: (row["task_index"], row["init_state"]))
    return [{**row, "training": training} for row in rows]
