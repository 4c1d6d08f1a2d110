"""Get the demonstrations of a suite: recorded by the scripted expert, the published ones, or copies of the user's.

Writes ``data/raw/<suite>/<task>_demo.hdf5``, one file per task in LIBERO's layout, or the files of a LeRobot dataset that
have the suite's episodes, and ``manifest.json`` with the sha256 and the origin of each. Recording costs about half a second of a core per demonstration of a mini suite; an interrupted
one continues from ``work/download/``. The published suites are 34 GB in all. They lie in the hub's cache and are linked
from there; only where ``data/raw`` is on another disk are they there twice (``worldvla/data/hub/fetching.py``).
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from worldvla import files
from worldvla.arithmetic import ENVIRONMENT
from worldvla.data.file_names import suite_files, task_file
from worldvla.data.hub import fetching, published
from worldvla.data.lerobot.checking import check_dataset, copy_dataset
from worldvla.data.lerobot.info import dataset_folder
from worldvla.data.protocols import NUM_CLIPS, num_held_out
from worldvla.data.raw import unusable_demonstrations, validate_raw
from worldvla.params import strict
from worldvla.params.benchmarks import SUITES
from worldvla.params.download import DownloadParams
from worldvla.params.recorded import check_digest, demonstrations_digest
from worldvla.running import console
from worldvla.running.forecast import check_room
from worldvla.running.job import Job, Unit, Work
from worldvla.running.unfinished import finish, work_folder
from worldvla.running.units import finished_units
from worldvla.simulation import engine, rendering
from worldvla.simulation.libero_assets import ensure_assets
from worldvla.simulation.recording import Recorder, Recording, cut, join
from worldvla.simulation.tasks import Task, chosen_tasks, task_names, tasks


def main(*, params: Path, out: Path) -> None:
    """Download, copy or record the demonstrations of one suite."""
    settings = strict.read(DownloadParams, params)
    suite = chosen_tasks(settings.benchmark, settings.suite, settings.tasks)
    if settings.demonstrations == "lerobot":
        with files.atomic_folder(out) as folder:
            told = copy_lerobot(settings, suite, folder)
        print(f"{out}: {told} (lerobot). Next: filter")
        return
    names = task_names(settings.benchmark, settings.suite)
    scripted = settings.demonstrations == "scripted"
    if scripted:
        rendering.choose_backend()  # what cannot render is said before workers start
        ensure_assets(settings.benchmark)
    work = work_folder("download", [asdict(settings), engine.describe(settings.benchmark) if scripted else ""])
    sources: dict[str, dict[str, str]] = {}
    with files.atomic_folder(out) as folder:
        if scripted:
            record(settings, suite, work, folder)
        elif settings.demonstrations == "hub":
            sources = place_published(suite, folder)
        else:
            copy_local(settings.folder, suite, folder)
        manifest: dict[str, dict[str, Any]] = {}
        for task in suite:
            path = task_file(folder, task.name)
            demos, steps = validate_raw(path, task.name, task.language, names)
            content = {"sha256": files.file_digest(path), "demonstrations": demos, "steps": steps}
            manifest[path.name] = {"origin": settings.demonstrations} | sources.get(task.name, {}) | content
        if expected := settings.digests.get("folder"):
            found = demonstrations_digest({name: entry["sha256"] for name, entry in manifest.items()})
            check_digest(f"demonstrations_folder '{settings.folder}'", found, expected)
        files.write_json(folder / "manifest.json", manifest)
    finish(work)
    demos, steps = (sum(entry[key] for entry in manifest.values()) for key in ("demonstrations", "steps"))
    print(
        f"{out}: {len(manifest)} tasks, {demos} demonstrations, {steps} steps ({settings.demonstrations}). Next: filter"
    )


def record(settings: DownloadParams, suite: list[Task], work: Path, folder: Path) -> None:
    """Record every task's demonstrations, in units, to one file per task."""
    count = settings.demonstrations_per_task
    recording = Recording(settings.benchmark, settings.suite, settings.tasks, settings.seed, count)
    parts = cut(recording)
    names = {task.index: task.name for task in suite}
    job = Job(
        work,
        begin=recorder,
        arguments=(recording,),
        units=tuple(Unit(f"{names[part.task_index]}-{part.start:06d}", part, part.stop - part.start) for part in parts),
        noun="demo",
        suffix=".hdf5",
        environment=ENVIRONMENT,
    )
    with finished_units(job) as results:
        for task in suite:
            mine = [result for part, result in zip(parts, results, strict=True) if part.task_index == task.index]
            for failure in join(task_file(folder, task.name), mine):
                print(f"  not recorded: {failure}")


@contextlib.contextmanager
def recorder(recording: Recording) -> Iterator[Work]:
    """Yield what records demonstrations; in a worker."""
    rendering.choose_backend()
    rendering.forget_hidden_gpus()
    with contextlib.closing(Recorder(recording)) as made:
        yield made.record


def place_published(suite: list[Task], folder: Path) -> dict[str, dict[str, str]]:
    """Fetch every task's published file, verified, and place them all; return where each came from, by task."""
    publication = published.load("demonstrations")
    paths = {task.name: task_file(Path(task.folder), task.name).as_posix() for task in suite}
    fetched = fetching.fetch_files(publication, list(paths.values()), folder)
    for task, path in paths.items():
        fetching.place(fetched[path], task_file(folder, task))
    origin = {"repository": publication.repository, "revision": publication.revision}
    return {task: origin | {"file": path} for task, path in paths.items()}


def named_folder(source: str | None, what: str) -> Path:
    """Return the user's folder, which params name, if it can be read."""
    if source is None or not Path(source).is_dir():
        got = "empty" if source is None else f"'{source}', no such folder"
        raise ValueError(f"demonstrations_folder is {got}; name the folder of your {what} in params.yaml")
    if not os.access(source, os.R_OK | os.X_OK):
        raise ValueError(f"demonstrations_folder '{source}' cannot be read; expected a readable one; chmod it")
    return Path(source)


def copy_lerobot(settings: DownloadParams, suite: list[Task], folder: Path) -> str:
    """Check a LeRobot dataset for the suite's tasks, and copy what of it has their episodes; return what there is."""
    source = dataset_folder(named_folder(settings.folder, "LeRobot dataset"), suite[0].folder)
    known = [task.language for name in SUITES[settings.benchmark] for task in tasks(settings.benchmark, name)]
    checked = check_dataset(source, [task.language for task in suite], known)
    counts = {task.name: len(checked.entries[task.language]) for task in suite}
    check_held_out(source, counts)
    manifest = copy_dataset(source, checked, settings.digests, folder)
    files.write_json(
        folder / "manifest.json", {name: {"origin": "lerobot"} | entry for name, entry in manifest.items()}
    )
    return f"{len(suite)} tasks, {sum(counts.values())} demonstrations, {checked.steps} steps"


def copy_local(source: str | None, suite: list[Task], folder: Path) -> None:
    """Check every task's file in the user's folder, and that they are enough and have room, then copy them all."""
    paths = suite_files(named_folder(source, "HDF5 files"), suite[0].folder, [task.name for task in suite])
    usable = {}
    for task, path in zip(suite, paths, strict=True):
        names = task_names(task.benchmark, task.suite)
        num_demos, _ = validate_raw(path, task.name, task.language, names)
        unusable = unusable_demonstrations(path)
        for demo, reason in unusable.items():
            print(f"  {path}: {demo} cannot be replayed ({reason}); the filter will drop it")
        usable[task.name] = num_demos - len(unusable)
    check_held_out(paths[0].parent, usable)
    check_room(sum(path.stat().st_size for path in paths))
    for task, path in zip(suite, paths, strict=True):
        shutil.copyfile(path, task_file(folder, task.name))


def check_held_out(source: Path, usable: dict[str, int]) -> None:
    """Refuse demonstrations of which too few would be held out: that would be found after the filter and the trainings."""
    # The protocol that holds out most, whichever is chosen: another choice is no reason to copy again.
    held_out = num_held_out(usable, "paper")
    if held_out < NUM_CLIPS:
        fewest = min(usable, key=lambda task: usable[task])
        raise ValueError(
            f"{source}: {held_out} episodes would be held out to be predicted, of {sum(usable.values())} demonstrations "
            f"that can be replayed ({usable[fewest]} of '{fewest}'); expected {NUM_CLIPS} held out at least, one of every "
            "ten of a task; add demonstrations"
        )


if __name__ == "__main__":
    console.run(main)
