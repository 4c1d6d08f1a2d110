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
from worldvla.reporting.runs import Run, read_run, shared_outcomes

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


def test_a_rate_is_over_the_episodes_of_all_trainings_and_each_has_its_own(project):
    made = pages(project)
    row = cells(made["table3"], "1", "action model")
    assert row[3:5] == ["18/40", "45.0 %"]
    assert row[6] == "40.0, 50.0; SD 7.1 points"
    assert "18/40 = 45.0 % (30.7 to 60.2); trainings: 40.0, 50.0; SD 7.1 points" in made["README"]
    block = section(made["table3"], "Where the numbers come from")
    assert "- `dvc repro rollout@action-goal-1`" in block
    assert "- `dvc repro rollout@action-goal-2`" in block


def test_with_one_training_there_is_no_spread(tmp_path):
    text = (write_reports(make_project(tmp_path)) / "table3.md").read_text()
    assert "SD" not in text
    assert "Trainings, %" not in text


def test_episodes_are_paired_by_training_where_both_have_it(project):
    text = report_params(trainings="[1, 2]")
    (project / "report.yaml").write_text(text.replace("[1, 2], once", "[1], once", 1))  # of the first variant, action
    params = strict.read(ReportParams, project / "report.yaml")
    first, second = (read_run(project / "rollouts", params, variant, "goal") for variant in SEVERAL)
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert (first.rate.episodes, second.rate.episodes) == (20, 40)
    outcomes = shared_outcomes(first, second)
    assert [one.sum() for one in outcomes] == [8, 14]  # of the first trainings alone
    assert outcomes[0].size == 20
    films = second.films()
    assert {start[-1] for start in films} == {1, 2}
    assert all(path.parent.name == f"action_chunk_mask-goal-{start[-1]}" for start, path in films.items())


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
    set_params(project, trainings="[1]", least=1)
    of_two = pages(project)["claims"]
    write_clips(project / "videos" / "goal")
    assert pages(project)["claims"] == of_two


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
    assert cells(pages(project)["table3"], "1", "action model")[3] == "18/40"


def test_fewer_trainings_than_a_claim_needs_are_not_judged(project):
    set_params(project, least=3)
    made = pages(project)
    assert "0 supported, 0 contradicted, 0 inconclusive" in made["claims"]
    assert "2 trainings per arm; expected 3" in made["claims"]
    assert "2 trainings per arm; expected 3" in made["README"]
    set_params(project, least=2)
    assert "per arm" not in pages(project)["claims"]
    set_params(project, trainings="[1]", least=3)
    assert "1 training per arm; expected 3" in pages(project)["claims"]


def test_a_claim_about_every_length_is_judged_on_the_lengths_with_enough_trainings(project):
    text = report_params(trainings="[1, 2]", least=2)
    for name in ("action_chunk_k3", "action_chunk_mask_k3"):
        begin = text.index(f"    {name}:")
        text = text[:begin] + text[begin:].replace("[1, 2], once", "[1], once", 1)
    (project / "report.yaml").write_text(text)
    row = next(line for line in pages(project)["claims"].splitlines() if line.startswith("| at 3 actions"))
    assert row.split("|")[-2].strip() == "1 training per arm; expected 2"
    assert ": 2 of 3 lengths" in pages(project)["claims"]


def test_a_clip_s_score_is_the_mean_over_trainings_and_each_training_has_a_row(project):
    made = pages(project)
    short = section(made["table4"], "Goal: 10 frames")
    assert cells(short, "world model, mean of trainings 1, 2")[5].startswith("19.75 ")
    assert [cells(short, f"world model, training {n}")[5].split()[0] for n in (1, 2)] == ["19.25", "20.25"]
    distances = short[short.index("Floor") - 200 :]
    assert cells(distances, "world model, mean of trainings 1, 2")[1:3] == ["301.0", "no interval"]
    assert cells(distances, "world model, training 2")[1:3] == ["300.5", "279.5 to 319.5"]
    against = section(made["table4"], "Goal: action world model against world model")
    assert cells(against, "20", "PSNR, dB")[3:5] == ["6", "+1.00"]  # a clip counts once


def test_the_page_of_the_trainings_has_a_row_and_a_line_for_each(project):
    text = pages(project)["training"]
    assert cells(text, "action", "2") == ["action", "2", "action", "100", "0.010", "", "unknown time"]
    assert "missing: run `dvc repro train@world-goal-2`" in cells(text, "world", "2")[4]
    rows = (project / "reports" / "training_loss.csv").read_text().splitlines()
    assert rows[0] == "model,training,step,loss"
    assert {tuple(row.split(",")[:2]) for row in rows[1:]} >= {("action-goal", "1"), ("action-goal", "2")}
