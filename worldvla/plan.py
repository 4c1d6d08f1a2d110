"""What an experiment needs before anything of it runs: memory, hours and disk of every stage, and whether this machine has them.

    ./run plan [--scale NAME] [PAGE]

By calculation, without a GPU and without data. What does not fit is refused with the smallest change with which it would.
"""

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from worldvla.costs.asking import CORE_FLOPS, GB, UTILISATION
from worldvla.costs.pages import only
from worldvla.costs.room import Place, fewest, refusals, shown
from worldvla.costs.runs import Experiment, read_experiment
from worldvla.costs.stages import Cost, costs, trained
from worldvla.model import placement
from worldvla.model.size import Size
from worldvla.reporting.markdown import table
from worldvla.running.cores import num_cores
from worldvla.running.devices import DEVICES, Device, gpu_names, known_device
from worldvla.running.machine import Machine, TrainingMachine, read_machine, visible_gpus

# Each scale with the demonstrations that it is made for: what --scale sets beside it. The others are params.yaml's.
_EMBEDDED = {"benchmark": "mini", "looks": "simple", "demonstrations": "scripted", "released": []}
_SCRIPTED = {"benchmark": "libero", "looks": "simple", "demonstrations": "scripted", "released": []}
_PUBLISHED = {"benchmark": "libero", "looks": "published", "demonstrations": "hub", "released": []}
LADDER: dict[str, dict[str, object]] = {
    "smoke": {**_EMBEDDED, "suites": ["goal"]},
    "mini": {**_EMBEDDED, "suites": ["goal"]},
    "libero": {**_SCRIPTED, "suites": ["spatial"]},
    "single": {**_PUBLISHED, "suites": ["spatial"]},
    "paper": {**_PUBLISHED, "suites": ["spatial", "object", "goal", "long"]},
}
ON_A_GPU = Machine().training_with(1)
LONG_H = 72  # longer on cores alone, and the plan shows what a GPU would take as well
STORED = (Path("data"), Path("work"), Path(".dvc/cache"))


def changes(scale: str | None) -> dict[str, object]:
    """Return what of params.yaml a scale sets; a scale of one's own sets nothing beside its name."""
    return {} if scale is None else {"scale": scale, "tasks": {}, "demonstrations_folder": None} | LADDER.get(scale, {})


def place(machine: Machine) -> Place:
    """Return what there is of everything: in this machine, or as ``machine.yaml`` says.

    Raises:
        ValueError: a GPU of which nothing is known.
    """
    gpu, num_gpus = _gpu(machine)
    workers = machine.num_workers(asks_model=True, num_units=sys.maxsize)
    memory = _memory()
    if machine.executor == "slurm" and machine.memory_gb is not None:
        workers, memory = 1, machine.memory_gb * GB  # each in a job of its own
    used = sum(path.stat().st_size for folder in STORED for path in folder.rglob("*") if path.is_file())
    return Place(num_cores(), memory, shutil.disk_usage(".").free + used, max(1, workers), gpu, num_gpus)


def _gpu(machine: Machine) -> tuple[Device | None, int | None]:
    """Return the GPU that is there, and how many; else the one that machine.yaml names, of which there are enough."""
    found, num_gpus = gpu_names(), len(visible_gpus())
    if machine.gpu is None and not (found and num_gpus):
        return None, 0
    name = machine.gpu or found[0][0]
    device = known_device(name)
    if device is None:
        known = ", ".join(one.name for one in DEVICES)
        raise ValueError(
            f"machine.yaml: nothing is known of the GPU '{name}'; expected one of {known}; name the nearest of them: gpu: "
            f"{DEVICES[0].name}"
        )
    if machine.gpu is not None:
        return device, None
    return dataclasses.replace(device, memory=found[0][1]), num_gpus


def _memory() -> float:
    """Return the bytes of memory of this machine, or of the container that this runs in."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int((placement.CGROUP / "memory.max").read_text()))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return total


def spread_of(machine: Machine, where: Place) -> TrainingMachine:
    """Return how ``machine.yaml`` spreads a training over what there is; by default over all GPUs, or the one that it names."""
    return machine.training_with(0 if where.gpu is None else where.num_gpus or 1)


def described(experiment: Experiment, gpu: Device | None, found: Sequence[Cost]) -> str:
    """Return the table of all stages: memory of one process, hours and disk in all."""
    hours = [f"{gpu.name}-hours"] if gpu else []
    head = ["stage", "times", "memory, GB", *(["on a GPU, GB"] if gpu else []), "core-hours", *hours, "disk, GB"]
    rows = [
        [
            cost.stage,
            str(cost.num),
            number(cost.cpu_gb),
            *([number(cost.gpu_gb)] if gpu else []),
            number(cost.core_hours),
            *([number(cost.gpu_hours)] if gpu else []),
            number(cost.disk_gb),
        ]
        for cost in found
    ]
    sums = [sum(getattr(cost, name) for cost in found) for name in ("core_hours", "gpu_hours", "disk_gb")]
    blank = ["", "", *([""] if gpu else [])]
    rows.append(["sum", *blank, *(number(value) for value in (sums if gpu else [sums[0], sums[2]]))])
    suites, runs = ", ".join(experiment.footage), trained(experiment)
    largest = f", the largest of {shown(max(Size.of(run.config).total for run in runs))} weights" if runs else ""
    title = (
        f"Scale `{experiment.scale}`, benchmark `{experiment.benchmark}`, {experiment.demonstrations} demonstrations, suites "
        f"{suites or 'none'}: {len(runs)} trainings{largest}."
    )
    return f"{title}\n\n{table(head, rows, right=head[1:])}"


def number(value: float) -> str:
    """Return hours or GB with two digits, or whole."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


ASSUMED = (
    f"By calculation, not measured: {100 * UTILISATION:.0f} % of a GPU's peak in bf16 for trainings and prompts, its memory's "
    f"rate for answers, {CORE_FLOPS / 1e9:.0f} GFLOP/s of a core without one; half of the rollouts last to their limit; "
    "memory is of one process, disk is twice what stages write, as DVC copies it."
)


def elapsed(found: Sequence[Cost], where: Place, spread: TrainingMachine) -> float:
    """Return the hours from the first stage to the last, if nothing waits: trainings on their GPUs, all else on all of them."""
    num_gpus = where.num_gpus or spread.processes
    training = sum(cost.gpu_hours for cost in found if cost.stage == "train") / spread.processes
    others = sum(cost.gpu_hours for cost in found if cost.stage != "train") / num_gpus
    return sum(cost.core_hours for cost in found) / where.cores + training + others


def report(experiment: Experiment, where: Place, spread: TrainingMachine) -> tuple[str, list[str]]:
    """Return the plan in words, and a sentence for all that does not fit."""
    found = costs(experiment, where.gpu, spread)
    refused = refusals(experiment, found, where, spread)
    hours = elapsed(found, where, spread)
    blocks = [described(experiment, where.gpu, found), ASSUMED]
    cores = f"{where.cores} core{'s' if where.cores > 1 else ''}"
    gpus = f" and {where.num_gpus or spread.processes} x {where.gpu.name}" if where.gpu else " and no GPU"
    if not refused:
        blocks.append(f"It fits {cores}{gpus}: about {number(hours)} hours.")
    if where.gpu is None and (refused or hours > LONG_H) and (better := fewest(experiment, DEVICES, ON_A_GPU)):
        gpu, larger = better
        blocks += [
            f"With {larger.processes} x {gpu.name}, the fewest that hold every training:",
            described(experiment, gpu, costs(experiment, gpu, larger)),
        ]
    return "\n\n".join(blocks), refused


def main() -> None:
    """Print the plan and exit, with 1 if something does not fit."""
    parser = argparse.ArgumentParser(prog="plan", description="memory, hours and disk of what params.yaml asks for")
    parser.add_argument(
        "--scale",
        metavar="NAME",
        help=f"another scale than params.yaml's: {', '.join(LADDER)}, each with the demonstrations that it is made for, or a "
        "file of conf/ of your own",
    )
    parser.add_argument("page", nargs="?", metavar="PAGE", help="a page of the report alone, as table3")
    arguments = parser.parse_args()
    try:
        experiment = read_experiment(Path("params.yaml"), Path("conf"), changes(arguments.scale))
        if arguments.page:
            experiment = only(experiment, arguments.page)
        machine = read_machine()
        where = place(machine)
        text, refused = report(experiment, where, spread_of(machine, where))
    except ValueError as error:
        sys.exit(f"plan: {error}")
    print(text, flush=True)
    if refused:
        sys.exit("\n".join(f"plan: {fault}" for fault in refused))


if __name__ == "__main__":
    main()
