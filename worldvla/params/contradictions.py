"""What in ``params.yaml`` does not go together."""

import itertools
from pathlib import Path

from worldvla.params import strict
from worldvla.params.benchmarks import max_steps
from worldvla.params.experiment import ExperimentParams
from worldvla.params.named_files import place_fault
from worldvla.params.tasks import TaskNames, expert_faults, selection_faults
from worldvla.params.trainings import planned_name

# Demonstrations that lie in a folder of the user's, and what it holds.
NAMED = {"local": "HDF5 files", "lerobot": "LeRobot dataset"}


def contradictions(experiment: ExperimentParams, params: Path, task_names: TaskNames) -> list[str]:
    """Return a sentence for every pair of values that do not go together."""
    faults = []
    variants = experiment.all_variants()
    groups = {name: getattr(experiment, name) for name in ("variants", "finetune", "once", "other_pixels")}
    faults += [
        f"{params}: '{name}' is in {first} and in {second}; give one of them another name"
        for (first, names), (second, others) in itertools.combinations(groups.items(), 2)
        for name in names
        if name in others
    ]
    if experiment.finetune:
        faults += [f"{params}: {fault}" for fault in _start_faults(experiment)]
    if experiment.other_pixels and "other" not in experiment.images:
        faults.append(
            f"{params}: other_pixels has '{next(iter(experiment.other_pixels))}' but images is "
            f"{list(experiment.images)}; add other to images, or make other_pixels {{}}"
        )
    if not experiment.other_pixels and "other" in experiment.images:
        faults.append(
            f"{params}: images is {list(experiment.images)} but other_pixels is empty: nothing would see them; make images "
            "[main]"
        )
    here = {**experiment.variants, **experiment.finetune}
    lists = (
        ("rollout", experiment.rollout, here, ["action"]),
        ("speed", experiment.speed, {**here, **experiment.once}, ["action"]),
        ("generate", experiment.generate, here, ["world"]),
        ("planning", experiment.planning, here, ["action", "world"]),
        ("once", tuple(experiment.once), experiment.once, ["action"]),
        ("other_pixels", tuple(experiment.other_pixels), experiment.other_pixels, ["action"]),
    )
    for stage, names, known, kinds in lists:
        for name in names:
            if name in experiment.other_pixels and name not in known:
                faults.append(
                    f"{params}: {stage} has '{name}', which sees images of the other size; expected one of variants or "
                    "finetune (those of other_pixels are rolled out without being named)"
                )
            elif name in experiment.once and name not in known:
                faults.append(
                    f"{params}: {stage} has '{name}', which is trained once; expected one of variants or finetune (those of "
                    "once are rolled out without being named, and predict no clips)"
                )
            elif name not in known:
                faults.append(f"{params}: {stage} has '{name}'; {strict.known(name, known)}")
            elif not set(kinds) <= set(known[name].samples):
                trained = ", ".join(known[name].samples)
                faults.append(
                    f"{params}: {stage} has '{name}', whose samples are {trained}; expected {' and '.join(kinds)} among them"
                )
    faults += [
        f"{params}: generate has '{name}', which is trained on all episodes, the clips to predict among them; expected "
        "episodes: train"
        for name in experiment.generate
        if name in here and here[name].episodes == "all"
    ]
    faults += [
        f"{params}: planning has '{name}', whose rollouts are called '{planned_name(name)}', and so is a variant; give that "
        "one another name"
        for name in experiment.planning
        if planned_name(name) in variants
    ]
    faults += [
        f"{params}: tasks names the suite '{suite}', which is not in suites ({', '.join(experiment.suites)}); add it there, "
        "or remove it here"
        for suite in experiment.tasks
        if suite not in experiment.suites
    ]
    for suite in experiment.suites:
        try:
            limit = max_steps(experiment.benchmark, suite)
        except ValueError as error:
            faults.append(f"{params}: {error}")
            continue
        faults += [f"{params}: {fault}" for fault in _task_faults(experiment, suite, task_names)]
        numbers = {"chunk": experiment.chunk, "history": experiment.history, "rounds": experiment.rounds}
        for name, variant in variants.items():
            numbers |= {f"the chunk of '{name}'": variant.chunk, f"the history of '{name}'": variant.history}
        faults += [
            f"{params}: {name} is {number}; expected at most {limit}, the longest episode of the suite '{suite}'"
            for name, number in numbers.items()
            if number is not None and number > limit
        ]
    faults += [
        f"{params}: {fault}"
        for fault in _demonstration_faults(experiment, params.parent) + _released_faults(experiment)
    ]
    return faults


def _task_faults(experiment: ExperimentParams, suite: str, task_names: TaskNames) -> list[str]:
    """Return what is wrong with the tasks that are chosen of a suite."""
    names = task_names(experiment.benchmark, suite)
    faults = selection_faults(experiment.tasks, suite, names)
    if not faults and (experiment.benchmark, experiment.demonstrations) == ("libero", "scripted"):
        faults = expert_faults(experiment.tasks, suite, names)
    return faults


def _demonstration_faults(experiment: ExperimentParams, root: Path) -> list[str]:
    """Return what does not go together with where the demonstrations come from; ``root`` is the folder of params.yaml."""
    faults = []
    if experiment.demonstrations in NAMED:
        faults += _folder_faults(experiment, root)
    elif experiment.demonstrations_folder is not None:
        faults.append(
            f"demonstrations_folder is for demonstrations: {' or '.join(NAMED)}, which is "
            f"'{experiment.demonstrations}'; make the folder null"
        )
    if experiment.demonstrations == "hub" and experiment.benchmark != "libero":
        faults.append("demonstrations is 'hub' but only the benchmark 'libero' is published; use scripted")
    if experiment.benchmark == "mini" and experiment.looks != "simple":
        faults.append("looks is 'published' but the benchmark 'mini' has simple looks of its own; make looks simple")
    # A LeRobot dataset of ours says which looks its frames have (worldvla/params/lerobot.py).
    if (
        experiment.benchmark != "mini"
        and experiment.demonstrations not in ("scripted", "lerobot")
        and experiment.looks == "simple"
    ):
        faults.append(
            f"looks is 'simple' but demonstrations is '{experiment.demonstrations}', and policies of published "
            "demonstrations are shown published looks; make looks published"
        )
    return faults


def _folder_faults(experiment: ExperimentParams, root: Path) -> list[str]:
    """Return what is wrong with the user's folder of demonstrations."""
    kind, named = experiment.demonstrations, experiment.demonstrations_folder
    if named is None:
        return [f"demonstrations is '{kind}' but demonstrations_folder is null; name the folder"]
    fault = place_fault(named, root, "folder", f"name the folder of your {NAMED[kind]}")
    return [f"demonstrations_folder {fault}"] if fault else []


def _released_faults(experiment: ExperimentParams) -> list[str]:
    """Return what does not go together with the paper's own checkpoints."""
    if not experiment.released:
        return []
    name, faults = experiment.released[0], []
    if experiment.benchmark != "libero":
        faults.append(
            f"released has '{name}', trained on LIBERO, but benchmark is '{experiment.benchmark}'; make it libero"
        )
    elif experiment.looks != "published":
        faults.append(f"released has '{name}', trained on LIBERO's own looks, but looks is 'simple'; make it published")
    faults += [
        f"released has '{name}', and a variant is called the same; give the variant another name"
        for name in experiment.released
        if name in experiment.all_variants()
    ]
    return faults


def _start_faults(experiment: ExperimentParams) -> list[str]:
    """Return what is wrong with the variant whose weights others start from."""
    start = experiment.finetune_from
    if start not in experiment.variants:
        return [f"finetune_from is '{start}', which no variant is called; {strict.known(start, experiment.variants)}"]
    variant, samples = experiment.variants[start], experiment.variants[start].samples
    if "world" not in samples:
        trained = ", ".join(samples)
        return [f"finetune_from is '{start}', whose samples are {trained}; expected world among them (table 6)"]
    if variant.episodes == "all" and any(one.episodes == "train" for one in experiment.finetune.values()):
        return [
            f"finetune_from is '{start}', which is trained on all episodes; expected episodes: train, as in finetune"
        ]
    return []
