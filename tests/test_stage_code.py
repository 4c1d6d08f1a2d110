"""The code of a stage is what its script imports and the data beside that, and a run goes on with no other."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from worldvla import stage_code
from worldvla.stage_code import code_of

REPOSITORY = Path(stage_code.__file__).parent.parent
OUT = Path("data/stage_code")


@pytest.fixture
def project(tmp_path) -> Path:
    """Return a folder with a copy of the code, listed."""
    for package in stage_code.PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for versions in ("constraints.txt", "no-deps.txt"):  # stages look at what is installed first
        shutil.copy(REPOSITORY / versions, tmp_path)
    run(tmp_path)
    return tmp_path


def run(project: Path) -> dict[str, str]:
    """Run the stage; return the listing of every script."""
    subprocess.run([sys.executable, "-m", "pipeline.stage_code", "--out", OUT], cwd=project, check=True)
    return listings(project)


def listings(project: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (project / OUT).iterdir()}


@pytest.mark.parametrize(
    ("path", "changed", "same"),
    [
        ("pipeline/split.py", {"split"}, {"filter", "train"}),
        (
            "worldvla/masks.py",
            {"train", "finetune"},
            {"download", "split", "tokenizer", "report"},
        ),
        ("worldvla/model/chameleon.py", {"train", "rollout", "generate", "speed"}, {"download", "split", "report"}),
        ("worldvla/data/hub/repositories.yaml", {"download", "released_model"}, {"split", "report"}),
        ("worldvla/files.py", {"split", "timed", "report"}, set()),
        ("worldvla/running/units.py", set(), {"download", "filter", "rollout"}),
        ("worldvla/__init__.py", set(), {"train", "report"}),
        ("pipeline/parallel.py", set(), {"train", "report"}),
        ("worldvla/.masks.py.swp", set(), {"train", "report"}),  # of an editor
        ("worldvla/__pycache__/masks.pyc.140", set(), {"train", "report"}),  # of Python, while it writes it
    ],
)
def test_a_change_of_a_file_is_one_of_the_stages_that_it_decides(project, path, changed, same):
    before = listings(project)
    (project / path).parent.mkdir(exist_ok=True)
    with (project / path).open("a") as stream:
        stream.write("# changed\n")
    after = run(project)
    differing = {script for script in before if before[script] != after[script]}
    assert changed <= differing
    assert not same & differing
    assert changed or not differing


def test_what_only_a_function_imports_counts_too(project):
    (project / "worldvla/late.py").write_text("")
    with (project / "pipeline/split.py").open("a") as stream:
        stream.write("\n\ndef later():\n    from worldvla import late\n")
    assert "  worldvla/late.py\n" in run(project)["split"]


def test_it_is_read_by_sha256sum(project):
    subprocess.run(["sha256sum", "--check", "--quiet", *sorted((project / OUT).iterdir())], cwd=project, check=True)


def test_a_script_that_is_not_there_has_no_code():
    assert code_of("none") == []


def split(project: Path) -> subprocess.CompletedProcess[str]:
    """Run a stage that has nothing to read."""
    command = [sys.executable, "-m", "pipeline.split", "--params", "no.yaml", "--filtered", "no", "--out", "out"]
    return subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)


def test_code_that_was_changed_since_it_was_listed_is_refused_under_dvc(project, monkeypatch):
    refused = (
        "split: worldvla/data/splits.py was changed since the run began; expected the code that data/stage_code/split.sha256 "
        "lists; run: dvc repro stage_code, then the same command\n"
    )
    monkeypatch.setenv("DVC_STAGE", "split@goal")
    with (project / "worldvla/masks.py").open("a") as stream:
        stream.write("# of other stages\n")
    assert "was changed since" not in split(project).stderr
    with (project / "worldvla/data/splits.py").open("a") as stream:
        stream.write("# changed\n")
    ended = split(project)
    assert (ended.returncode, ended.stderr) == (1, refused)
    monkeypatch.delenv("DVC_STAGE")  # a person, who is free to try
    assert "was changed since" not in split(project).stderr
