"""One page of the report alone: the runs that it needs."""

from dataclasses import replace

from worldvla.costs.runs import Experiment, Run
from worldvla.params import strict
from worldvla.params.train import FinetuneParams
from worldvla.reporting.pages import STAGES


def only(experiment: Experiment, page: str) -> Experiment:
    """Return an experiment with what ``./run reproduce PAGE`` runs.

    Raises:
        ValueError: there is no such page.
    """
    if page not in STAGES:
        raise ValueError(f"unknown page '{page}'; {strict.known(page, STAGES)}")
    beginnings = tuple(STAGES[page])
    runs = {(run.name, run.suite): needed for run in experiment.runs if (needed := _needed(run, beginnings))}
    for run in experiment.runs:
        of_others = [one for one in runs.values() if one.suite == run.suite and isinstance(one.train, FinetuneParams)]
        if any(isinstance(one.train, FinetuneParams) and one.train.start == run.name for one in of_others):
            runs.setdefault((run.name, run.suite), replace(run, rollout=None, speed=None, generate=None))
    seen = {(run.suite, run.pixels) for run in runs.values() if run.train is not None}
    return replace(
        experiment,
        runs=list(runs.values()),
        tokenizers=[(suite, one) for suite, one in experiment.tokenizers if (suite, one.pixels) in seen],
        footage={name: one for name, one in experiment.footage.items() if any(name == suite for suite, _ in seen)},
    )


def _needed(run: Run, beginnings: tuple[str, ...]) -> Run | None:
    """Return a run with what a page needs of it; None if that is nothing."""

    def has(*stages: str) -> bool:
        return any(stage.startswith(beginnings) for stage in stages)

    place = f"{run.name}-{run.suite}"
    rolled = (
        ["rollout_released@"]
        if run.train is None
        else [f"{one}@{place}" for one in ("rollout", "rollout_other_pixels")]
    )
    rollout = run.rollout if has(*rolled) else None
    speed = run.speed if has(f"speed@{place}") else None
    generate = run.generate if has(f"video_metrics@{run.suite}", f"generate@{place}") else None
    trains = run.train is not None and has(
        *(f"{stage}@{place}" for stage in ("train", "train_other_pixels", "finetune"))
    )
    if rollout or speed or generate or trains:
        return replace(run, rollout=rollout, speed=speed, generate=generate)
    return None
