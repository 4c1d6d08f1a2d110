"""The pipeline on demonstrations of the user's: a change of theirs is seen, a failure leaves what was there."""

import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from resolve_project import edit
from test_download import TASKS, write_demonstrations

from benchmarks.project_copy import Project
from worldvla.data.file_names import task_file
from worldvla.files import folder_digest

pytestmark = pytest.mark.slow

RAW = "data/raw/goal"


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    edit(str(project.folder / "params.yaml"), scale="smoke", demonstrations="local", demonstrations_folder="../mine")
    (tmp_path / "mine").mkdir()
    write_demonstrations(tmp_path / "mine")
    project.commit()
    project.dvc("init", "--quiet", "--force")
    return project


def change(folder: Path) -> None:
    with h5py.File(task_file(folder, TASKS[0].name), "r+") as file:
        file["data/demo_1/actions"][0, 0] += 0.1


def test_a_change_of_the_files_is_seen_and_never_passed_over(project, tmp_path):
    command = ["-m", "pipeline.parallel", "download@goal"]
    assert "3 of 3 stages done" in project.python(*command)
    before = folder_digest(project.folder / RAW)
    assert "of 3 stages 0 ran, 3 were up to date" in project.python(*command)
    change(tmp_path / "mine")
    refused = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "download@goal"],
        cwd=project.folder,
        env=project.env,
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    assert "demonstrations_folder '../mine' has changed since resolve" in refused.stderr
    assert "; run: dvc repro -f resolve, then the same command" in refused.stderr
    assert folder_digest(project.folder / RAW) == before  # a download that fails leaves what was there
    printed = project.python(*command)
    assert "download@goal | done" in printed
    assert folder_digest(project.folder / RAW) != before
    assert "of 3 stages 0 ran, 3 were up to date" in project.python(*command)
    assert "up to date" in project.dvc("repro", "download@goal")


def test_plain_dvc_sees_a_change_once_resolve_has_run(project, tmp_path):
    project.dvc("repro", "download@goal")
    before = folder_digest(project.folder / RAW)
    change(tmp_path / "mine")
    project.dvc("repro", "-f", "resolve")
    project.dvc("repro", "download@goal")
    assert folder_digest(project.folder / RAW) != before
