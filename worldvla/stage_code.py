"""The code of a stage: the files that decide its bytes, as dvc.yaml lists them."""

from pathlib import Path

import yaml

import worldvla
from worldvla.files import file_digest, value_digest

CODE = ("worldvla/", "pipeline/")


def code_of(stage: str) -> list[str]:
    """Return the files of code that a stage of dvc.yaml depends on, which are those that decide its bytes.

    None, of a stage that is not there.
    """
    text = (_root() / "dvc.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"].get(stage, {})
    return [dep for dep in content.get("do", content).get("deps", []) if dep.startswith(CODE)]


def code_digest(stage: str) -> str:
    """Return the sha256 over the paths and contents of a stage's code."""
    return value_digest([[path, file_digest(_root() / path)] for path in code_of(stage)])


def _root() -> Path:
    return Path(worldvla.__file__).parent.parent
