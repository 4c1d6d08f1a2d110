"""Several trainings of a row: taken together, shown one by one, never mixed, and judged only where there are enough."""

import json
from pathlib import Path

import pytest
from reporting_inputs import (
    SOLVED,
    cells,
    make_project,
    report_params,
    section,
    write_clips,
    write_curve,
    write_reports,
    write_rollouts,
)

from worldvla.params import strict
from worldvla.params.report import ReportParams
from worldvla.reporting.inference import effects
from worldvla.reporting.inputs.runs import Rollouts, Run

SEVERAL = ("action", "action_chunk_mask")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of two trainings of each variant, the second of which solves one initial state more per task."""
    project = make_project(tmp_path)
    for variant, solved in SOLVED.items():
        states = {(task, init) for task in range(2) for init in range(solved + 1)}
        write_rollouts(project / "rollouts" / f"{variant}-goal-2", variant, solved=states)
    write_clips(project / "videos" / "goal", trainings=(1, 2))
    write_curve(project / "models" / "action-goal-2", num_steps=100, validated=())
    set_params(project)
    return project


def set_params(project: Path, trainings: str = "[1, 2]", least: int = 2) -> None:
    (project / "report.yaml").write_text(report_params(trainings=trainings, least=least))


def pages(project: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in write_reports(project).glob("*.md")}


def change(path: Path, **values: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_rate_is_the_mean_of_the_trainings_and_each_leads_to_its_run(project):
    made = pages(project)
    row = cells(made["table3"], "1", "action model")
    assert row[3] == "18/40 = 45.0 %"
    assert row[4] == "25.8 to 65.8"  # of twenty states, not of forty episodes
    assert row[5] == "0.0 to 100.0"  # of two: no more than what a rate can be
    assert row[6] == "[40.0](runs.md#action-goal-1), [50.0](runs.md#action-goal-2); SD 7.1"
    assert "45.0 % (25.8 to 65.8); SD 7.1" in made["README"]
    assert "`dvc repro rollout@action-goal-2`" in section(made["runs"], "action-goal-2")


def test_a_row_with_fewer_trainings_than_the_others_is_compared_and_says_so(project):
    text = report_params(trainings="[1, 2]", least=2)
    (project / "report.yaml").write_text(text.replace("[1, 2], once", "[1], once", 1))  # of the first variant, action
    params = strict.read(ReportParams, project / "report.yaml")
    rollouts = Rollouts(project / "rollouts", params)
    runs = [rollouts.run(variant, "goal") for variant in SEVERAL]
    assert [len(run.rows) for run in runs if isinstance(run, Run)] == [20, 40]
    found = effects.rates(params, rollouts, SEVERAL, ["goal"])
    assert not isinstance(found, str)
    assert (found.value, found.num, found.num_trainings) == (pytest.approx(40 - 75), 20, (1, 2))
    assert (
        cells(pages(project)["table3"], "4 against 1")[1] == "too few trainings: 2 and 1 trainings per arm; expected 2"
    )
    assert isinstance(runs[1], Run)
    assert {start[0] for start in runs[1].films()} == {1, 2}


def test_a_training_that_is_missing_is_a_gap_by_name(project):
    set_params(project, trainings="[1, 2, 3]")
    made = pages(project)
    assert cells(made["table3"], "1", "action model")[3] == "missing: run `dvc repro rollout@action-goal-3`"
    assert (
        cells(section(made["table4"], "Goal: 10 frames"), "world model")[5]
        == "missing: run `dvc repro generate@world-goal-3`"
    )
    (project / "rollouts" / "action-goal-1" / "episodes.parquet").unlink()
    stages = "rollout@action-goal-1 rollout@action-goal-3"
    assert cells(pages(project)["table3"], "1", "action model")[3] == f"missing: run `dvc repro {stages}`"


def test_a_training_that_is_not_asked_for_does_not_count(project):
    set_params(project, trainings="[1]", least=2)
    of_two = pages(project)["table3"]
    write_clips(project / "videos" / "goal")
    assert pages(project)["table3"] == of_two
    assert "SD" not in of_two.split("## Goal suite")[1]


@pytest.mark.parametrize(
    ("key", "words"),
    [("recipe", "params of the training"), ("trained_by", "code of the training"), ("data", "training data")],
)
def test_trainings_that_were_made_otherwise_are_not_taken_together(project, key, words):
    change(project / "rollouts" / "action-goal-2" / "made_of.json", **{key: "f" * 64})
    stages = "rollout@action-goal-1 rollout@action-goal-2"
    refused = f"refused: trainings 1 and 2 differ in {words}: run `dvc repro {stages}`"
    assert cells(pages(project)["table3"], "1", "action model")[3] == refused
    models = project / "videos" / "goal" / "models.json"
    made_of = json.loads(models.read_text())
    made_of["world-2"][key] = "f" * 64
    models.write_text(json.dumps(made_of))
    made = pages(project)
    stages = "generate@world-goal-1 generate@world-goal-2"
    refused = f"refused: trainings 1 and 2 differ in {words}: run `dvc repro {stages}`"
    assert cells(section(made["table4"], "Goal: 10 frames"), "world model")[5] == refused
    assert refused in made["claims"]


def test_trainings_may_differ_in_their_weights(project):
    change(project / "rollouts" / "action-goal-2" / "made_of.json", weights="f" * 64, model="f" * 64)
    assert cells(pages(project)["table3"], "1", "action model")[3] == "18/40 = 45.0 %"


def test_a_clip_s_score_is_the_mean_over_trainings_with_their_spread(project):
    made = pages(project)
    short = section(made["table4"], "Goal: 10 frames")
    assert cells(short, "world model")[5].startswith("19.75 ")
    assert cells(short, "world model")[5].endswith("; SD 0.71")
    against = section(made["table4"], "Goal: action world model against world model")
    assert cells(against, "20", "PSNR, dB")[2:6] == ["open", "+1.00 dB", "-2.04 to +4.04", "+0.99 to +1.01"]


def test_the_page_of_the_trainings_has_a_row_and_a_line_for_each(project):
    text = pages(project)["training"]
    link = "[2](runs.md#action-goal-2)"
    assert cells(text, "action", link) == ["action", link, "action", "100", "0.010", "", "unknown time"]
    assert "missing: run `dvc repro train@world-goal-2`" in cells(text, "world", "2")[4]
    rows = (project / "reports" / "training_loss.csv").read_text().splitlines()
    assert rows[0] == "model,training,step,loss"
    assert {tuple(row.split(",")[:2]) for row in rows[1:]} >= {("action-goal", "1"), ("action-goal", "2")}
