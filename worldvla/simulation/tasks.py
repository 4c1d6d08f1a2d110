"""The tasks of both benchmarks: names, instructions, BDDL files. Nothing here imports LIBERO or a simulator."""

import importlib.util
import runpy
from dataclasses import dataclass
from pathlib import Path

from worldvla.params.benchmarks import suite_entry, suite_folder
from worldvla.simulation.mini import assets as mini_assets
from worldvla.simulation.mini.suites import SUITES as MINI_SUITES


@dataclass(frozen=True)
class Task:
    """One task of a suite."""

    benchmark: str
    suite: str
    index: int  # LIBERO's order
    name: str  # with underscores; for the long suite with its scene: KITCHEN_SCENE3_turn_on_...
    language: str  # the instruction
    bddl_file: Path

    @property
    def folder(self) -> str:
        """The suite's folder in LIBERO's layout: ``libero_10``; of an embedded suite, ``mini_goal``."""
        return suite_folder(self.benchmark, self.suite)


def tasks(benchmark: str, suite: str) -> list[Task]:
    """Return all tasks of a suite in LIBERO's order.

    Raises:
        ValueError: no such benchmark or suite (the message lists the valid ones), or LIBERO is not installed.
    """
    entry = suite_entry(benchmark, suite)
    if benchmark == "mini":
        mini = MINI_SUITES[suite]
        return [
            Task(benchmark, suite, index, task.name, task.language, mini_assets.bddl_file(mini, task))
            for index, task in enumerate(mini.tasks)
        ]
    # The map alone, for LIBERO's package asks a question on stdin, and its register of benchmarks imports torch.
    names = runpy.run_path(str(libero_root() / "benchmark/libero_suite_task_map.py"))["libero_task_map"]
    folder = libero_root() / "bddl_files" / entry.libero_name
    return [
        Task(benchmark, suite, index, name, instruction(name), folder / f"{name}.bddl")
        for index, name in enumerate(names[entry.libero_name])
    ]


def chosen_tasks(benchmark: str, suite: str, indices: tuple[int, ...]) -> list[Task]:
    """Return the tasks of a suite with the given indices, in LIBERO's order."""
    return [task for task in tasks(benchmark, suite) if task.index in indices]


def task_names(benchmark: str, suite: str) -> list[str]:
    """Return the names of all tasks of a suite in LIBERO's order."""
    return [task.name for task in tasks(benchmark, suite)]


def instruction(name: str) -> str:
    """Return the instruction that a task of LIBERO is named after, without the scene before it.

    Source: ``grab_language_from_filename`` of hf-libero 0.1.4.
    """
    words = name.split("_")
    scene = [place for place, word in enumerate(words) if word.startswith("SCENE")]
    return " ".join(words[scene[0] + 1 :] if name[0].isupper() and scene else words)


def libero_root() -> Path:
    """Return the folder of LIBERO's BDDL files, initial states and maps.

    Raises:
        ValueError: LIBERO is not installed.
    """
    spec = importlib.util.find_spec("libero")
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError("LIBERO is not installed; run: ./run setup")
    return Path(next(iter(spec.submodule_search_locations))).resolve() / "libero"
