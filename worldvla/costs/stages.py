"""What each stage costs: memory of a process, hours of cores and of a GPU, disk. By arithmetic: nothing is measured here."""

import dataclasses
import functools
from dataclasses import dataclass

import torch

from worldvla.costs.asking import (
    GB,
    Speed,
    answering_gb,
    generation_hours,
    horizons_of,
    in_turns_gb,
    mean_steps,
    num_clips,
    planning_hours,
    query_hours,
)
from worldvla.costs.images import image_cost
from worldvla.costs.runs import Experiment, Run, counts, samples_trained, training_flops
from worldvla.model import placement
from worldvla.model.size import Size, activation_bytes
from worldvla.running.devices import Device
from worldvla.running.machine import TrainingMachine
from worldvla.tokenizers.vqgan_training import config

# Assumed, or measured of one core at `mini` (benchmarks/README.md).
# A control step with its picture; published looks with EGL: 11.2 per second are reported.
SIMULATION_S = {"mini": 0.0055, "simple": 0.0195, "published": 0.09}
CONVERSION_S = 0.0032  # of a core, to decode and store a frame of 96 px of a LeRobot dataset; grows with the pixels
START_S = 6.0  # of every stage, beside its work: DVC, and its packages
FRAME_S = 0.01  # to score a predicted frame of 96 px
PROCESS_GB = 1.7  # a process with torch
SIMULATOR_GB = {"mini": 0.4, "simple": 1.25, "published": 2.0}
FILTERED_SHARE, STEP_BYTES = 0.11, 1000  # of a frame's bytes, as stored; and what else a step has
MEMBERS = 1.5  # a tar's bytes by those of its content
DVC_COPIES = 2  # in its cache, and in data/ unless `dvc config cache.type` says otherwise


@dataclass(frozen=True)
class Cost:
    """One stage: how often it runs, memory of one process in GB, hours of cores and of the GPU in all, GB that stay.

    ``work_gb`` lie in ``work/`` while one runs.
    """

    stage: str
    num: int
    cpu_gb: float
    gpu_gb: float
    core_hours: float
    gpu_hours: float
    disk_gb: float
    work_gb: float = 0.0


def costs(experiment: Experiment, gpu: Device | None, spread: TrainingMachine) -> list[Cost]:
    """Return the cost of every stage, in the order in which they run.

    Args:
        experiment: as resolved.
        gpu: where models are trained and asked; None: on cores.
        spread: how trainings are.
    """
    speed = Speed(gpu)
    train = functools.partial(_train, spread=spread)
    stages = (
        _download,
        _filter,
        _tokenizer,
        _encode,
        train,
        _rollout,
        _rollout_planned,
        _speed,
        _generate,
        _video_metrics,
    )
    found = [stage(experiment, speed) for stage in stages]
    return [
        dataclasses.replace(cost, core_hours=cost.core_hours + cost.num * START_S / 3600)
        for cost in found
        if cost is not None and cost.num
    ]


def trained(experiment: Experiment) -> list[Run]:
    """Return the runs that are trained."""
    return [run for run in experiment.runs if run.train is not None]


def training_bytes(run: Run, spread: TrainingMachine) -> float:
    """Return the bytes that each process of a training needs, at most.

    They are its share of all that is kept of the weights, what it gathers from the others at a time, what it keeps of the samples
    that go through the model together, and logits.
    """
    train, cuda = run.train, torch.device("cuda")
    assert train is not None
    size, most = Size.of(run.config), [counts(kind, run) for kind in train.samples]
    longest, answered = (max(column) for column in zip(*most, strict=True))
    samples = -(-train.batch // spread.processes)
    if spread.tokens is not None:
        samples = max(1, min(samples, spread.tokens // longest))
    held = placement.TRAINING[torch.bfloat16] * size.total / spread.processes
    if spread.processes > 1:  # two layers, embedding and head: in bf16, and their gradients in fp32
        held += (2 + 4) * 2 * (size.body / size.layers + size.head)
    tokens, config = samples * longest, run.config
    if spread.recompute:
        held += 4 * tokens * size.width * size.layers
        config = dataclasses.replace(config, num_layers=1)
    held += activation_bytes(config, tokens, train.dropout)
    return held + placement.logits_bytes(run.config, samples * answered, cuda)


def _scenes(experiment: Experiment) -> str:
    return "mini" if experiment.benchmark == "mini" else experiment.looks


def simulator_gb(experiment: Experiment) -> float:
    """Return the memory of a simulator."""
    return SIMULATOR_GB[_scenes(experiment)]


def rollout_gb(run: Run, experiment: Experiment) -> float:
    """Return the memory that a worker of rollouts needs on the CPU's side: its simulators, and itself."""
    return PROCESS_GB + run.rolled.environments * simulator_gb(experiment)


def _download(experiment: Experiment, speed: Speed) -> Cost:
    suites = experiment.footage.values()
    disk, hours, memory = sum(one.raw_bytes for one in suites) / GB, 0.0, PROCESS_GB
    if experiment.demonstrations == "scripted":
        hours = sum(one.recorded * one.length for one in suites) * SIMULATION_S[_scenes(experiment)] / 3600
        memory = simulator_gb(experiment)
    return Cost("download", len(suites), memory, 0, hours, 0, disk * DVC_COPIES)


def _filter(experiment: Experiment, speed: Speed) -> Cost:
    suites = [experiment.footage[suite] for suite, _ in experiment.tokenizers]
    steps = sum(one.recorded * one.length for one in suites)
    kept = [
        experiment.footage[suite].steps * (FILTERED_SHARE * 3 * params.pixels**2 + STEP_BYTES)
        for suite, params in experiment.tokenizers
    ]
    hours, memory = steps * SIMULATION_S[_scenes(experiment)] / 3600, simulator_gb(experiment)
    if experiment.demonstrations == "lerobot":
        seconds = [
            experiment.footage[suite].steps * CONVERSION_S * (one.pixels / 96) ** 2
            for suite, one in experiment.tokenizers
        ]
        hours, memory = sum(seconds) / 3600, PROCESS_GB
    return Cost("filter", len(kept), memory, 0, hours, 0, DVC_COPIES * sum(kept) / GB, max(kept, default=0) / GB)


def _tokenizer(experiment: Experiment, speed: Speed) -> Cost:
    core_hours = gpu_hours = disk = work = held = 0.0
    for suite, params in experiment.tokenizers:
        one = image_cost(config(params), params.pixels)
        needed = 4 * one.weights
        disk += 4 * one.weights
        if params.weights is None:
            needed = 16 * one.weights + params.batch * one.kept  # with gradients and Adam's moments
            cores, gpu = speed.hours(3 * params.steps * params.batch * (one.encoding + one.decoding))
            core_hours, gpu_hours = core_hours + cores, gpu_hours + gpu
            work = max(work, experiment.footage[suite].steps * 3 * params.pixels**2)
        held = max(held, needed / GB)
    memory = (PROCESS_GB, held) if speed.gpu else (PROCESS_GB + held, 0)
    num = len(experiment.tokenizers)
    return Cost("tokenizer", num, *memory, core_hours, gpu_hours, DVC_COPIES * disk / GB, work / GB)


def _encode(experiment: Experiment, speed: Speed) -> Cost:
    core_hours = gpu_hours = disk = weights = 0.0
    for suite, params in experiment.tokenizers:
        steps, one = experiment.footage[suite].steps, image_cost(config(params), params.pixels)
        cores, gpu = speed.hours(steps * one.encoding)
        core_hours, gpu_hours = core_hours + cores, gpu_hours + gpu
        disk += MEMBERS * steps * (2 * (params.pixels // 16) ** 2 + 56)
        weights = max(weights, 4 * one.weights / GB)
    memory = (PROCESS_GB, weights) if speed.gpu else (PROCESS_GB + weights, 0)
    num = len(experiment.tokenizers)
    return Cost("encode", num, *memory, core_hours, gpu_hours, DVC_COPIES * disk / GB)


def _train(experiment: Experiment, speed: Speed, spread: TrainingMachine) -> Cost | None:
    runs = trained(experiment)
    core_hours = gpu_hours = disk = 0.0
    for run in runs:
        cores, gpu = training_hours(run, speed)
        core_hours, gpu_hours = core_hours + cores, gpu_hours + gpu
        disk += 4 * Size.of(run.config).total / GB
    if not runs:
        return None
    held = max(training_bytes(run, spread) for run in runs) / GB
    work = max(12 * Size.of(run.config).total for run in runs) / GB
    memory = (PROCESS_GB, held) if speed.gpu else (PROCESS_GB + held, 0)
    return Cost("train", len(runs), *memory, core_hours, gpu_hours, DVC_COPIES * disk, work)


def training_hours(run: Run, speed: Speed) -> tuple[float, float]:
    """Return hours of cores and of the GPU of one training."""
    assert run.train is not None
    model = Size.of(run.config)
    return speed.hours(sum(samples_trained(kind, run) * training_flops(kind, run, model) for kind in run.train.samples))


def _rollout(experiment: Experiment, speed: Speed) -> Cost | None:
    runs = [dataclasses.replace(run, planned=None) for run in experiment.runs if run.rollout is not None]
    return _rolled(
        "rollout", [(run, query_hours(run, speed, run.rolled.environments)) for run in runs], experiment, speed
    )


def _rollout_planned(experiment: Experiment, speed: Speed) -> Cost | None:
    runs = [dataclasses.replace(run, rollout=None) for run in experiment.runs if run.planned is not None]
    return _rolled("rollout_planned", [(run, planning_hours(run, speed)) for run in runs], experiment, speed)


def _rolled(
    stage: str, asked: list[tuple[Run, tuple[float, float]]], experiment: Experiment, speed: Speed
) -> Cost | None:
    """Return the cost of a stage of rollouts, of runs with the hours of cores and of the GPU of a query of each."""
    core_hours = gpu_hours = released = 0.0
    for run, (cores, gpu) in asked:
        rolled = run.rolled
        steps = rolled.init_states_per_task * len(rolled.tasks) * mean_steps(run)
        core_hours += steps * SIMULATION_S[_scenes(experiment)] / 3600 + steps / rolled.chunk * cores
        gpu_hours += steps / rolled.chunk * gpu
        released += 0 if run.train else 2 * Size.of(run.config).total / GB
    if not asked:
        return None
    runs = [run for run, _ in asked]
    return Cost(
        stage,
        len(runs),
        max(rollout_gb(run, experiment) + (0 if speed.gpu else answering_gb(run, speed)) for run in runs),
        max(answering_gb(run, speed) for run in runs) if speed.gpu else 0,
        core_hours,
        gpu_hours,
        DVC_COPIES * (released + 0.0005 * len(runs)),
    )


def _speed(experiment: Experiment, speed: Speed) -> Cost | None:
    runs = [run for run in experiment.runs if run.speed is not None]
    if not runs:
        return None
    core_hours = gpu_hours = 0.0
    for run in runs:
        assert run.speed is not None
        cores, gpu = query_hours(run, speed, 1)
        core_hours, gpu_hours = core_hours + run.speed.num_queries * cores, gpu_hours + run.speed.num_queries * gpu
    held = max(gb for gb, _ in in_turns_gb(runs, speed))
    memory = (PROCESS_GB, held) if speed.gpu else (PROCESS_GB + held, 0)
    return Cost("speed", len({run.suite for run in runs}), *memory, core_hours, gpu_hours, 0.0)


def _generate(experiment: Experiment, speed: Speed) -> Cost | None:
    runs = [run for run in experiment.runs if run.generate is not None]
    core_hours = gpu_hours = disk = 0.0
    for run in runs:
        cores, gpu = generation_hours(run, speed)
        core_hours, gpu_hours = core_hours + cores, gpu_hours + gpu
        disk += num_clips(run) * max(horizons_of(run)) * run.codes.size * 2 * 2 / GB
    return _asking("generate", runs, speed, core_hours, gpu_hours, disk)


def _video_metrics(experiment: Experiment, speed: Speed) -> Cost | None:
    runs = [run for run in experiment.runs if run.generate is not None]
    suites = {run.suite for run in runs}
    # Of each model with true and with shuffled actions, and of two baselines.
    shares = [
        (2 + 2 * len(suites) / len(runs)) * num_clips(run) * max(horizons_of(run)) * run.pixels**2 for run in runs
    ]
    hours = sum(shares) * FRAME_S / 96**2 / 3600
    return Cost("video_metrics", len(suites), PROCESS_GB, 0, hours, 0, 0.0) if runs else None


def _asking(stage: str, runs: list[Run], speed: Speed, core_hours: float, gpu_hours: float, disk: float) -> Cost | None:
    if not runs:
        return None
    held = max(answering_gb(run, speed) for run in runs)
    memory = (PROCESS_GB, held) if speed.gpu else (PROCESS_GB + held, 0)
    return Cost(stage, len(runs), *memory, core_hours, gpu_hours, DVC_COPIES * disk)
