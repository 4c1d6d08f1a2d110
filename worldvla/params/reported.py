"""What the report is told of the whole experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

from worldvla.params.experiment import ExperimentParams
from worldvla.params.report import ReportedPlanning, ReportedVariant, ReportParams
from worldvla.params.tasks import chosen_indices


def reported(
    experiment: ExperimentParams, sizes: Mapping[str, Any], names: Mapping[str, Sequence[str]]
) -> ReportParams:
    """Return the section of the report.

    Args:
        experiment: ``params.yaml``.
        sizes: ``conf/<scale>.yaml``, in which nothing is wrong.
        names: of all tasks of each suite.
    """
    variants = {
        name: ReportedVariant(
            samples=variant.samples,
            mask=variant.mask,
            images=experiment.images_of(name),
            pixels=sizes["pixels"][experiment.images_of(name)],
            history=variant.history or experiment.history,
            chunk={suite: experiment.chunk_of(variant, suite) for suite in experiment.suites},
            episodes=variant.episodes,
            times=variant.times,
            trainings=experiment.trainings_of(name),
            once=name in experiment.once,
            start=experiment.finetune_from if name in experiment.finetune else None,
            rollout=experiment.is_rolled_out(name),
            speed=name in experiment.speed,
            generate=name in experiment.generate,
        )
        for name, variant in experiment.all_variants().items()
    }
    return ReportParams(
        scale=experiment.scale,
        optimizer="AdamW" if sizes["train"]["muon_learning_rate"] is None else "Muon",
        batch=sizes["train"]["batch"],
        seed=experiment.seed,
        benchmark=experiment.benchmark,
        demonstrations=experiment.demonstrations,
        suites=experiment.suites,
        looks=experiment.looks,
        num_tasks={
            suite: (len(chosen_indices(experiment.tasks, suite, every)), len(every)) for suite, every in names.items()
        },
        split=experiment.split,
        ablation_tasks=experiment.ablation_tasks,
        variants=variants,
        released=experiment.released,
        planning={name: ReportedPlanning(**sizes["rollout_planned"]) for name in experiment.planning},
        horizons=tuple(sizes["generate"]["horizons"]),
        claims=experiment.claims,
    )
