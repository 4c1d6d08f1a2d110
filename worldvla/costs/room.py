"""Whether an experiment fits a machine, and the smallest change with which it would."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from worldvla.costs.asking import GB, Speed, answering_gb, in_turns_gb
from worldvla.costs.runs import Experiment
from worldvla.costs.stages import PROCESS_GB, Cost, rollout_gb, simulator_gb, trained, training_bytes
from worldvla.model.size import Size
from worldvla.running.devices import DEVICES, Device
from worldvla.running.machine import GPU_TOKENS, Machine, TrainingMachine

USABLE = 0.92  # of a memory: the rest is the driver's, the system's, and lost between tensors
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
FEWEST_TOKENS = 2048  # at once, a sample or two: with fewer a GPU is idle


@dataclass(frozen=True)
class Place:
    """What there is: cores, bytes of memory and of disk, workers per stage that ask models, and a GPU as often as ``num_gpus``."""

    cores: int
    memory: float
    disk: float
    workers: int
    gpu: Device | None
    num_gpus: int | None  # None: elsewhere, as many as are asked for


def refusals(experiment: Experiment, found: list[Cost], place: Place, spread: TrainingMachine) -> list[str]:
    """Return a sentence for all that does not fit, with the smallest change with which it would."""
    checks = (
        _training(experiment, place, spread),
        _answering(experiment, place),
        _timing(experiment, place),
        _simulating(experiment, place),
    )
    return [*(fault for check in checks for fault in check), *_disk(found, place)]


def _training(experiment: Experiment, place: Place, spread: TrainingMachine) -> Iterator[str]:
    runs = trained(experiment)
    if not runs:
        return
    run = max(runs, key=lambda run: training_bytes(run, spread))
    needed, limit = training_bytes(run, spread), USABLE * (place.gpu.memory if place.gpu else place.memory)
    if place.gpu is None:
        needed += PROCESS_GB * GB
    if needed > limit:
        weights = Size.of(run.config).total
        yield (
            f"train of {run.name}-{run.suite}: {shown(weights)} weights need {_gb(needed)} {_where(place)}, "
            f"{_gb(weights * 18 / spread.processes)} of them whatever the samples; {_gb(limit)} are usable; smallest change: "
            f"{_change(experiment, place, spread)}"
        )
    elif place.num_gpus is not None and place.gpu and spread.processes > place.num_gpus:
        yield (
            f"train: machine.yaml spreads it over {spread.processes} processes; this machine has {place.num_gpus} of "
            f"{place.gpu.name}; "
            f"smallest change: training_processes: {place.num_gpus} in machine.yaml"
        )


def _change(experiment: Experiment, place: Place, spread: TrainingMachine) -> str:
    """Return the smallest change with which trainings fit: of machine.yaml, or the GPUs that would do."""
    if place.gpu is None:
        spread = replace(Machine().training_with(1), processes=spread.processes)
    found = fewest(experiment, [place.gpu] if place.gpu else DEVICES, spread)
    if found is None:
        return "smaller sizes in conf/, as no number of known GPUs holds it"
    device, fits = found
    changed = {name: value for name, value in asdict(fits).items() if value != asdict(spread)[name]}
    said = ", ".join(f"training_{name}: {str(value).lower()}" for name, value in changed.items())
    many = "" if place.gpu and fits.processes == spread.processes else f" ({fits.processes} x {device.name})"
    return f"{said} in machine.yaml{many}" if said else f"{fits.processes} x {device.name}"


def fewest(
    experiment: Experiment, devices: Iterable[Device], spread: TrainingMachine
) -> tuple[Device, TrainingMachine] | None:
    """Return with how few GPUs every training fits, the one with the least memory, and how it is spread; None if it never does.

    Before more GPUs are taken, layers are computed again for their gradients and fewer tokens go through at once.
    """
    runs = trained(experiment)
    for processes in (count for count in PROCESSES if count >= spread.processes):
        for device in sorted(devices, key=lambda device: device.memory):
            for spared in _sparing(replace(spread, processes=processes)):
                if max((training_bytes(run, spared) for run in runs), default=0.0) <= USABLE * device.memory:
                    return device, spared
    return None


def _sparing(spread: TrainingMachine) -> Iterator[TrainingMachine]:
    """Yield ways of less and less memory."""
    yield spread
    spread = replace(spread, recompute=True)
    yield spread
    tokens = spread.tokens or GPU_TOKENS
    while tokens >= FEWEST_TOKENS:
        yield replace(spread, tokens=tokens)
        tokens //= 2


def _answering(experiment: Experiment, place: Place) -> Iterator[str]:
    asked = [run for run in experiment.runs if run.rollout or run.planned or run.generate]
    if not asked:
        return
    speed = Speed(place.gpu)
    run = max(asked, key=lambda run: answering_gb(run, speed))
    needed, limit = answering_gb(run, speed) * GB, USABLE * (place.gpu.memory if place.gpu else place.memory)
    if needed > limit:
        names = ["rollout.environments", *["rollout_planned.candidates"] * (run.planned is not None), "generate.batch"]
        lanes = [f"{name} in conf/{experiment.scale}.yaml" for name in names]
        yield (
            f"rollout and generate of {run.name}-{run.suite} need {_gb(needed)} {_where(place)}; {_gb(limit)} are usable; "
            f"smallest change: half of {' and of '.join(lanes)}, or a larger GPU"
        )


def _timing(experiment: Experiment, place: Place) -> Iterator[str]:
    timed = [run for run in experiment.runs if run.speed is not None]
    limit = USABLE * (place.gpu.memory if place.gpu else place.memory)
    for held, runs in in_turns_gb(timed, Speed(place.gpu)):
        if held * GB > limit:
            names = ", ".join(run.name for run in runs)
            yield (
                f"speed of {runs[0].suite} holds {names} together, which need {_gb(held * GB)} {_where(place)}; {_gb(limit)} are "
                f"usable; smallest change: fewer of them under speed in params.yaml, or a larger GPU"
            )


def _simulating(experiment: Experiment, place: Place) -> Iterator[str]:
    rolled = [run for run in experiment.runs if run.rollout or run.planned]
    if not rolled:
        return
    speed = Speed(place.gpu)
    beside = max(0.0 if place.gpu else answering_gb(run, speed) for run in rolled) * GB
    each = beside + max(rollout_gb(run, experiment) for run in rolled) * GB
    limit = USABLE * place.memory
    if each * place.workers <= limit or beside > limit:
        return
    if fits := int(limit // each):
        change = f"workers: {fits} in machine.yaml"
    else:
        simulators = int((limit - beside - PROCESS_GB * GB) // (simulator_gb(experiment) * GB))
        change = f"rollout.environments: {max(1, simulators)} in conf/{experiment.scale}.yaml, and workers: 1 in machine.yaml"
    yield (
        f"rollout: {place.workers} workers of {_gb(each)}, simulators among it, need {_gb(each * place.workers)} of memory; "
        f"{_gb(limit)} are usable; smallest change: {change}"
    )


def _disk(found: list[Cost], place: Place) -> Iterator[str]:
    stay, work = sum(cost.disk_gb for cost in found), max((cost.work_gb for cost in found), default=0.0)
    if (stay + work) * GB <= place.disk:
        return
    change = f"free {_gb((stay + work) * GB - place.disk)}"
    if (stay / 2 + work) * GB <= place.disk:
        change = "dvc config --local cache.type hardlink,symlink, by which nothing lies there twice"
    yield f"disk: {_gb((stay + work) * GB)} are needed; {_gb(place.disk)} are free or used for it; smallest change: {change}"


def shown(count: float) -> str:
    """Return a number of weights in words."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _where(place: Place) -> str:
    return f"on each {place.gpu.name}" if place.gpu else "of memory, as there is no GPU"


def _gb(size: float) -> str:
    return f"{size / GB:,.0f} GB" if size >= 10 * GB else f"{size / GB:.1f} GB"
