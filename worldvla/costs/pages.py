"""One page of the report alone: the runs that it needs."""

from dataclasses import replace

from worldvla.costs.runs import Experiment, Run
from worldvla.params import strict
from worldvla.params.train import FinetuneParams
from worldvla.params.trainings import run_name
from worldvla.reporting.contents import PLANNED, ROLLOUTS, STAGES


def only(experiment: Experiment, page: str) -> Experiment:
    """Return an experiment with what ``./run reproduce PAGE`` runs.

    Raises:
        ValueError: there is no such page.
    """
    if page not in STAGES:
        raise ValueError(f"unknown page '{page}'; {strict.known(page, STAGES)}")
    beginnings = tuple(STAGES[page])
    runs = {_place(run): needed for run in experiment.runs if (needed := _needed(run, beginnings))}
    starts = {
        run_name(one.train.start, one.suite, one.training)
        for one in runs.values()
        if isinstance(one.train, FinetuneParams)
    }
    for run in experiment.runs:
        if _place(run) in starts:
            runs.setdefault(_place(run), replace(run, rollout=None, speed=None, generate=None, planned=None))
    seen = {(run.suite, run.pixels) for run in runs.values() if run.train is not None}
    return replace(
        experiment,
        runs=list(runs.values()),
        tokenizers=[(suite, one) for suite, one in experiment.tokenizers if (suite, one.pixels) in seen],
        footage={name: one for name, one in experiment.footage.items() if any(name == suite for suite, _ in seen)},
    )


def _place(run: Run) -> str:
    """Return the name of a run's items in dvc.yaml."""
    return f"{run.name}-{run.suite}" if run.train is None else run_name(run.name, run.suite, run.training)


def _needed(run: Run, beginnings: tuple[str, ...]) -> Run | None:
    """Return a run with what a page needs of it; None if that is nothing."""

    def has(*stages: str) -> bool:
        return any(stage.startswith(beginnings) for stage in stages)

    place = _place(run)
    rolled = ["rollout_released@"] if run.train is None else [f"{one}@{place}" for one in ROLLOUTS]
    rollout = run.rollout if has(*rolled) else None
    planned = run.planned if has(f"{PLANNED}{place}") else None
    speed = run.speed if has(f"speed@{run.suite}") else None
    generate = run.generate if has(f"video_metrics@{run.suite}", f"generate@{place}") else None
    trains = run.train is not None and has(
        *(f"{stage}@{place}" for stage in ("train", "train_once", "train_other_pixels", "finetune"))
    )
    if rollout or planned or speed or generate or trains:
        return replace(run, rollout=rollout, speed=speed, generate=generate, planned=planned)
    return None
