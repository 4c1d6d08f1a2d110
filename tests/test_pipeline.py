"""Every stage of dvc.yaml depends on exactly the code that decides its bytes, and reads only what it declares.

That is the code that it imports, less the package ``worldvla/running``: how a stage talks, spreads its work over processes
and goes on after an interruption. Nothing of it may decide a byte, and what it returns is never written to a result.

A failing test prints the list of code to paste into the stage's ``deps``.
"""

import ast
import shlex
from pathlib import Path

import grimp
import pytest
import yaml
from dvc.repo import Repo

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("pipeline", "worldvla")
RUNNING = REPOSITORY / "worldvla/running"  # decides no byte
PUBLIC = REPOSITORY / "worldvla/__init__.py"  # names the models for people, and loads them when asked; no stage asks it
RUNNER = "parallel"  # runs the stages, is none
SCRIPTS = sorted(path.stem for path in (REPOSITORY / "pipeline").glob("*.py") if path.stem not in ("__init__", RUNNER))


def stages() -> dict[str, dict]:
    """Return the stages of dvc.yaml by name, templates as they stand."""
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in content.items()}


STAGES = stages()
# Stages may share a script: the kinds of model of images of the other size have their own.
SCRIPT_OF = {name: shlex.split(stage["cmd"])[2].removeprefix("pipeline.") for name, stage in STAGES.items()}


def test_every_script_is_a_stage():
    assert sorted(set(SCRIPT_OF.values())) == SCRIPTS
    assert all(script in STAGES for script in SCRIPT_OF.values())


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Return the import graph, with imports inside functions."""
    return grimp.build_graph(*CODE, cache_dir=None)


def code_of(graph: grimp.ImportGraph, script: str) -> list[str]:
    """Return the files of this repository that decide what a stage's script writes; packages' data files by folder."""
    module = f"pipeline.{script}"
    modules = {module, *graph.find_upstream_modules(module)}
    files = {file for file in map(python_file, modules) if file.name != "__init__.py" and RUNNING not in file.parents}
    data = {path for file in files for path in data_beside(file.parent)}
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in files | data)


def python_file(module: str) -> Path:
    """Return the file of a module."""
    path = REPOSITORY.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def data_beside(package: Path) -> list[Path]:
    """Return what else lies in a package's folder: data files, and folders that hold no code."""
    if package == REPOSITORY / "pipeline":
        return []
    return [
        path
        for path in package.iterdir()
        if path.suffix not in (".py", ".pyc")
        and path.name != "__pycache__"
        and (path.is_file() or not any(path.rglob("*.py")))
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_decides_its_bytes(graph, stage):
    declared = [dep for dep in STAGES[stage].get("deps", []) if dep.startswith(CODE)]
    expected = code_of(graph, SCRIPT_OF[stage])
    paste = "\n".join(f"- {path}" for path in expected)
    missing, needless = sorted(set(expected) - set(declared)), sorted(set(declared) - set(expected))
    assert not missing and not needless, (  # noqa: PT018
        f"dvc.yaml: stage '{stage}' lacks {missing} and lists {needless} needlessly; its code is\n{paste}"
    )
    assert len(declared) == len(set(declared)), f"dvc.yaml: stage '{stage}' lists a file twice"


@pytest.mark.parametrize("package", CODE)
def test_package_files_hold_no_code_so_that_no_stage_needs_to_list_them(package):
    for path in (REPOSITORY / package).rglob("__init__.py"):
        if path == PUBLIC:
            continue
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{path} holds code; move it to a module"


def test_the_public_names_are_no_part_of_any_stage(graph):
    assert graph.find_modules_directly_imported_by("worldvla") == set()
    for script in SCRIPTS:
        upstream = graph.find_upstream_modules(f"pipeline.{script}")
        assert not {module for module in upstream if module.startswith(("worldvla.api", "worldvla.serving"))}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_what_it_does(stage):
    assert STAGES[stage]["desc"]
    assert not {"frozen", "wdir", "always_changed"} & set(STAGES[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_declared_and_every_declared_path_is_used(stage):
    declared = {dep for dep in STAGES[stage].get("deps", []) if not dep.startswith(CODE)}
    declared |= {out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]}
    declared |= {next(iter(file)) for file in STAGES[stage].get("params", [])}
    program, flag, module, *arguments = shlex.split(STAGES[stage]["cmd"])
    assert [program, flag, module] == ["python", "-m", f"pipeline.{SCRIPT_OF[stage]}"]
    assert set(arguments[1::2]) == declared


# resolve makes the resolved files, and timed only names a model.
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("resolve", "timed")])
def test_a_stage_depends_on_its_own_section_of_a_resolved_file(stage):
    (sections,) = [section for file in STAGES[stage]["params"] for section in file.values()]
    assert sections == [SCRIPT_OF[stage]]


def test_the_lock_has_no_entry_of_a_stage_that_is_gone():
    """DVC keeps what it once ran: after stages are renamed, cut their entries from dvc.lock."""
    with Repo(str(REPOSITORY)) as repo:
        known = {stage.addressing for stage in repo.index.stages}
    locked = set(yaml.safe_load((REPOSITORY / "dvc.lock").read_text())["stages"])
    assert not locked - known
