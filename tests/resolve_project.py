"""A copy of params.yaml and conf/ to edit and to resolve."""

import shutil
from pathlib import Path

import pytest
import yaml

from worldvla.params import strict
from worldvla.params.resolve import resolve
from worldvla.simulation.tasks import task_names

REPOSITORY = Path(__file__).resolve().parents[1]
SCALES = sorted(path.stem for path in (REPOSITORY / "conf").glob("*.yaml"))


def copy_project(folder: Path) -> None:
    """Copy params.yaml and conf/ to a folder."""
    shutil.copy(REPOSITORY / "params.yaml", folder)
    shutil.copytree(REPOSITORY / "conf", folder / "conf")


def edit(path: str, **changes: object) -> None:
    """Change values of a YAML file; ``a__b`` is the key b of the section a."""
    content = strict.read_yaml(Path(path))
    for key, value in changes.items():
        *sections, last = key.split("__")
        inner = content
        for section in sections:
            inner = inner[section]
        inner[last] = value
    Path(path).write_text(yaml.safe_dump(content))


def resolved() -> dict[str, str]:
    return resolve(Path("params.yaml"), Path("conf"), task_names)


def faults() -> list[str]:
    with pytest.raises(ValueError, match=r"yaml: ") as caught:
        resolved()
    return str(caught.value).splitlines()
