"""Every stage of dvc.yaml depends on the code that decides its bytes, and reads only what it declares."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from worldvla.stage_code import LISTINGS, code_of, scripts

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("pipeline", "worldvla")
PUBLIC = REPOSITORY / "worldvla/__init__.py"  # names the models for people, and loads them when asked; no stage asks it
LISTS = "stage_code"  # lists the others' code

# What a script loads as it begins.
LOADED = """
import importlib, sys
importlib.import_module("pipeline." + sys.argv[1])
for name, module in sorted(sys.modules.items()):
    if name.startswith(("pipeline", "worldvla")) and not hasattr(module, "__path__"):
        print(name.replace(".", "/") + ".py")
"""


def stages() -> dict[str, dict]:
    """Return the stages of dvc.yaml by name, templates as they stand."""
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in content.items()}


STAGES = stages()
# Stages may share a script: the kinds of model of images of the other size have their own.
SCRIPT_OF = {name: shlex.split(stage["cmd"])[2].removeprefix("pipeline.") for name, stage in STAGES.items()}


def test_every_script_is_a_stage():
    assert sorted(set(SCRIPT_OF.values())) == scripts()
    assert all(script in STAGES for script in SCRIPT_OF.values())


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != LISTS])
def test_a_stage_depends_on_the_list_of_its_own_script_s_code(stage):
    listings = [dep for dep in STAGES[stage]["deps"] if dep.startswith(LISTINGS.as_posix())]
    assert listings == [f"{LISTINGS}/{SCRIPT_OF[stage]}.sha256"]


@pytest.mark.parametrize("script", ["train", "rollout", "video_metrics", "report"])
def test_a_script_loads_no_other_code_than_its_own_and_that_of_running(script):
    printed = subprocess.run(
        [sys.executable, "-c", LOADED, script], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    loaded = {path for path in printed.splitlines() if not path.startswith("worldvla/running/")}
    assert f"pipeline/{script}.py" in loaded
    assert loaded <= {*code_of(script)}


@pytest.mark.parametrize("package", CODE)
def test_package_files_hold_no_code_so_that_no_stage_needs_to_list_them(package):
    for path in (REPOSITORY / package).rglob("__init__.py"):
        if path == PUBLIC:
            continue
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{path} holds code; move it to a module"


def test_the_public_names_are_no_part_of_any_stage():
    for script in scripts():
        assert not [path for path in code_of(script) if path.startswith(("worldvla/api.py", "worldvla/serving/"))]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_what_it_does(stage):
    assert STAGES[stage]["desc"]
    assert not {"frozen", "wdir", "always_changed"} & set(STAGES[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_declared_and_every_declared_path_is_used(stage):
    declared = {dep for dep in STAGES[stage]["deps"] if not dep.startswith((*CODE, LISTINGS.as_posix() + "/"))}
    declared |= {out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]}
    declared |= {next(iter(file)) for file in STAGES[stage].get("params", [])}
    program, flag, module, *arguments = shlex.split(STAGES[stage]["cmd"])
    assert [program, flag, module] == ["python", "-m", f"pipeline.{SCRIPT_OF[stage]}"]
    assert set(arguments[1::2]) == declared


# resolve makes the resolved files, what comes before it knows none, and timed only names a model.
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in (LISTS, "resolve", "timed")])
def test_a_stage_depends_on_its_own_section_of_a_resolved_file(stage):
    (sections,) = [section for file in STAGES[stage]["params"] for section in file.values()]
    assert sections == [SCRIPT_OF[stage]]


def test_the_lock_has_no_entry_of_a_stage_that_is_gone():
    """DVC keeps what it once ran: after stages are renamed, cut their entries from dvc.lock."""
    with Repo(str(REPOSITORY)) as repo:
        known = {stage.addressing for stage in repo.index.stages}
    locked = set(yaml.safe_load((REPOSITORY / "dvc.lock").read_text())["stages"])
    assert not locked - known
