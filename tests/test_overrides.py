"""Bad values are refused by the runner itself, in resolve's words, before DVC reads them."""

import subprocess
import sys

import pytest

from benchmarks.project_copy import Project


@pytest.mark.slow
def test_what_dvc_would_blame_on_its_own_file_is_said_of_params(tmp_path):
    project = Project(tmp_path)
    project.commit()
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--quiet", "--force"], cwd=project.folder, env=project.env, check=True
    )
    command = [sys.executable, "-m", "pipeline.parallel", "-S", "suites=goal", "table1"]
    done = subprocess.run(command, cwd=project.folder, env=project.env, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == "parallel: params.yaml: suites is the text 'goal'; expected a list, each entry text"
    )
    assert not (project.folder / "data").exists()
