"""params.yaml as the runner finds it: set from the command line, and refused before DVC reads it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from worldvla.params.resolve import resolve
from worldvla.simulation.tasks import task_names

MAX_TRAININGS = 1000  # a count beyond is a slip, as a seed in its place


def set_params(settings: list[str]) -> None:
    """Write ``NAME=VALUE`` into params.yaml, or what ``FILE:NAME=VALUE`` says, as ``dvc exp run -S`` does: comments stay.

    ``trainings=5`` is understood as their numbers, ``[1,2,3,4,5]``: DVC, which expands the stages, cannot count.

    Raises:
        ValueError: not of that form, or no such file or name.
    """
    root = Path(Repo.find_root())
    for path, overrides in to_path_overrides([_counted(setting) for setting in settings]).items():
        if not (root / path).is_file():
            raise ValueError(f"-S {path}: no such file; expected NAME=VALUE of params.yaml, or FILE:NAME=VALUE")
        try:
            apply_overrides(root / path, overrides)
        except DvcException as error:
            reason = " ".join(str(error.__cause__ or error).split()).partition(" See http")[0]
            raise ValueError(
                f"-S {' -S '.join(overrides)}: {reason}; expected NAME=VALUE of what {path} has, as for `dvc exp run`"
            ) from error
        print(f"parallel: {path} is set: {', '.join(overrides)}; to take it back: git checkout {path}", flush=True)


def _counted(setting: str) -> str:
    """Return a setting; of a number of trainings, that of their numbers."""
    number = re.fullmatch(r"(?:params\.yaml:)?trainings=\s*([+-]?\d+)\s*", setting)
    if number is None:
        return setting
    if not 1 <= int(number[1]) <= MAX_TRAININGS:
        raise ValueError(
            f"-S {setting}: expected 1 to {MAX_TRAININGS} trainings, or their numbers: -S 'trainings=[1,2,3]'"
        )
    return f"trainings=[{','.join(map(str, range(1, int(number[1]) + 1)))}]"


def check_params() -> None:
    """Refuse values that ``resolve`` refuses before DVC reads them, which would blame dvc.yaml for some.

    Where params name files outside the repository, whose changes DVC does not see, and ``data/resolved`` is not what they
    make, have ``resolve`` run at once: neither is it up to date then, nor would DVC's run cache have the right result.

    Raises:
        ValueError: a line for every fault; or ``resolve`` has failed.
    """
    root = Path(Repo.find_root())
    params, conf = (Path(os.path.relpath(root / name)) for name in ("params.yaml", "conf"))
    if not conf.is_dir():
        return
    resolved = {
        root / "data/resolved" / f"{name}.yaml": text for name, text in resolve(params, conf, task_names).items()
    }
    sections = [section for text in resolved.values() for section in yaml.safe_load(text).values()]
    if any(section.get("digests") for section in sections) and any(
        not path.is_file() or path.read_text(encoding="utf-8") != text for path, text in resolved.items()
    ):
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", "--force", "resolve"]
        if subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL).returncode:
            raise ValueError("'resolve' failed, see above; mend it, then run the same command")
