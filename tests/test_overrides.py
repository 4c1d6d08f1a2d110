"""Bad values are refused by the runner itself, in resolve's words, before DVC reads them; it sees files that DVC does not."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from resolve_project import copy_project, edit, resolved

from benchmarks.project_copy import Project
from worldvla import overrides
from worldvla.overrides import check_params, set_params


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with a copy of params.yaml and conf/; return the commands that would run in it."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = []
    monkeypatch.setattr(overrides.Repo, "find_root", lambda: str(tmp_path))
    monkeypatch.setattr(
        overrides.subprocess, "run", lambda command, **_: commands.append(command) or SimpleNamespace(returncode=0)
    )
    return commands


def write_resolved() -> None:
    Path("data/resolved").mkdir(parents=True, exist_ok=True)
    for name, text in resolved().items():
        Path(f"data/resolved/{name}.yaml").write_text(text)


def test_resolve_runs_where_a_named_file_has_changed_and_only_there(project):
    check_params()
    assert project == []  # no file is named: what is to run is DVC's affair
    Path("text.json").write_text("one")
    edit("conf/mini.yaml", tokenizer__text_file="text.json")
    check_params()
    assert [command[-2:] for command in project] == [["--force", "resolve"]]
    write_resolved()
    check_params()
    assert len(project) == 1
    Path("text.json").write_text("two!")
    check_params()
    assert len(project) == 2


def test_a_resolve_that_fails_ends_the_run(project, monkeypatch):
    Path("text.json").write_text("one")
    edit("conf/mini.yaml", tokenizer__text_file="text.json")
    monkeypatch.setattr(overrides.subprocess, "run", lambda command, **_: SimpleNamespace(returncode=1))
    with pytest.raises(ValueError, match="'resolve' failed, see above; mend it, then run the same command"):
        check_params()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "chunk",
            "-S chunk: Error parsing override 'chunk' missing EQUAL at '<EOF>'; expected NAME=VALUE of what params.yaml",
        ),
        ("suites=[goal", "-S suites=[goal: no viable alternative at input '[goal'; expected NAME=VALUE"),
        (
            "chunkd=5",
            "-S chunkd=5: Could not override 'chunkd'. To append to your config use +chunkd=5; expected NAME=VALUE",
        ),
        (
            "conf/none.yaml:x=1",
            "-S conf/none.yaml: no such file; expected NAME=VALUE of params.yaml, or FILE:NAME=VALUE",
        ),
        ("trainings=0", "-S trainings=0: expected 1 to 1000 trainings, or their numbers: -S 'trainings=[1,2,3]'"),
        ("trainings=-1", "-S trainings=-1: expected 1 to 1000 trainings"),
        ("suites={goal: 1}", "-S suites={goal: 1}: Error merging override suites={goal: 1}; expected NAME=VALUE"),
    ],
)
def test_a_setting_that_is_none_is_one_sentence_and_changes_nothing(project, setting, message):
    before = Path("params.yaml").read_text()
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is compared below
        set_params([setting])
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize(
    ("setting", "numbers"),
    [("trainings=5", [1, 2, 3, 4, 5]), ("trainings=1", [1]), ("trainings=[1,4]", [1, 4])],
)
def test_trainings_are_counted_for_dvc_which_cannot(project, setting, numbers):
    set_params([setting, "seed=1"])
    content = yaml.safe_load(Path("params.yaml").read_text())
    assert (content["trainings"], content["seed"]) == (numbers, 1)
    check_params()


@pytest.mark.parametrize(
    "setting", ["trainings=[]", "trainings=[0]", "trainings=[1,1]", "trainings=many", "trainings=2.5"]
)
def test_numbers_that_are_no_trainings_are_refused_before_dvc_reads_them(project, setting):
    set_params([setting])
    with pytest.raises(ValueError, match=r"^params\.yaml: trainings is .*; expected .*$"):
        check_params()


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
