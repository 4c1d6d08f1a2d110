"""Packages of another place or version are refused in one sentence, by every stage and by the runner."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldvla.running import environment

REPOSITORY = Path(__file__).resolve().parents[1]
PIN = next(
    f"torch=={importlib.metadata.version('torch').split('+')[0]}"
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
    if line.startswith("torch==")
)


def test_what_is_installed_here_passes():
    environment.check()


def other(folder: Path, module: str) -> Path:
    """Return a folder with another package of that name."""
    (folder / "elsewhere" / module).mkdir(parents=True)
    (folder / "elsewhere" / module / "__init__.py").touch()
    return folder / "elsewhere"


STAGE, RUNNER = "pipeline.resolve --params x --conf x --out x", "pipeline.parallel"


@pytest.mark.parametrize(
    ("command", "module", "package"),
    [
        (STAGE, "libero", "hf-libero"),
        (STAGE, "numpy", "numpy"),
        (RUNNER, "libero", "hf-libero"),
        (RUNNER, "mujoco", "mujoco"),
    ],
)
def test_another_one_on_the_path_is_refused_before_anything_is_done(command, module, package, tmp_path):
    folder = other(tmp_path, module)
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f": the package {package} comes from {folder}; expected {package}==" in line
    assert line.endswith(f" in {sys.prefix}; take that folder off PYTHONPATH, then run the same command")


def test_a_users_own_packages_are_named(tmp_path, monkeypatch):
    folder = other(tmp_path, "torch")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(environment.site, "getusersitepackages", lambda: str(folder))
    monkeypatch.setattr(importlib.util, "find_spec", find_in(importlib.util.find_spec, folder, "torch"))
    with pytest.raises(
        ValueError, match=r"^the package torch comes from .*; leave your own packages out by PYTHONNOUSERSITE=1"
    ):
        environment.check()


def find_in(find, folder: Path, name: str):
    """Return a ``find_spec`` that does not remember what was imported."""

    def found(module: str):
        if module != name:
            return find(module)
        return importlib.util.spec_from_file_location(
            name, folder / name / "__init__.py", submodule_search_locations=[str(folder / name)]
        )

    return found


def test_another_version_is_named_with_the_command_that_installs_ours(monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0.0" if name == "torch" else version(name))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        environment.check()
    expected = f"the package torch is 1.0.0; expected {PIN} in {sys.prefix}; run: rm -f .venv/installed && ./run setup"
    assert str(caught.value) == expected


def test_builds_of_a_version_for_other_hardware_pass(monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version(name).split("+")[0] + "+cu130")
    environment.check()


def test_one_that_is_not_there_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "robosuite" else find(name))
    with pytest.raises(
        ValueError, match=r"^the package robosuite is not installed; expected robosuite==1.4.0 in .*; run: "
    ):
        environment.check()
