"""Where the demonstrations of a suite's tasks lie in a folder: one file per task, as LIBERO names them."""

from collections.abc import Sequence
from pathlib import Path


def task_file(folder: Path, task: str) -> Path:
    """Return a task's file in a raw or a filtered folder."""
    return folder / f"{task}_demo.hdf5"


def suite_files(source: Path, suite: str, tasks: Sequence[str]) -> list[Path]:
    """Return the files of a suite's tasks in a folder of the user's: in itself, or in the suite's own folder in it.

    Args:
        source: the folder that the user names.
        suite: the suite's folder, as LIBERO keeps them: ``libero_goal``.
        tasks: the names of the tasks.

    Raises:
        ValueError: the file of a task is missing.
    """
    has_files = any(task_file(source, task).is_file() for task in tasks)
    folder = source / suite if (source / suite).is_dir() and not has_files else source
    files = [task_file(folder, task) for task in tasks]
    if missing := [path for path in files if not path.is_file()]:
        found = f"{len(files) - len(missing)} of {len(files)} task files"
        raise ValueError(
            f"{folder}: {found}; missing '{missing[0].name}'; add it, or name another demonstrations_folder"
        )
    return files
