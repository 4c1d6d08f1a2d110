"""Table 2, and the tasks that the other pages about success rates leave out."""

import json
from pathlib import Path

import pytest
from reporting_inputs import SOLVED, cells, make_project, report_params, section, write_reports, write_rollouts

from worldvla.reporting.pages import STAGES
from worldvla.reporting.verdicts import CLAIMS

HELD_OUT = "put the can in the tray"  # the alphabetically last of the two tasks
LEFT_OUT = f"Scored on 1 of 2 tasks: “{HELD_OUT}” is left out, for the split `release` holds it out of training."
BY_SUITE = ("table3", "table5", "table6", "figure4", "figure6", "figure7")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("project")))


def page(folder: Path, name: str) -> str:
    return (folder / f"{name}.md").read_text()


def test_table2_has_the_smaller_images_first_beside_the_papers_smaller_ones(reports):
    text = page(reports, "table2")
    assert "scale `mini`" in text.split("\n", 1)[0]
    goal = section(text, "Goal suite")
    assert cells(goal, "smaller")[1:5] == ["action world model, 32 px", "82.6 %", "12/20", "60.0 %"]
    assert cells(goal, "larger")[1:5] == ["action world model, 64 px", "83.4 %", "18/20", "90.0 %"]
    assert "- `dvc repro rollout@all_data-goal-1`" in text
    assert "- `dvc repro rollout_other_pixels@all_data_other-goal-1`" in text
    assert cells(page(reports, "README"), "larger")[1:4] == [
        "action world model, 64 px",
        "18/20 = 90.0 % (69.9 to 97.2)",
        "83.4 %",
    ]


def test_larger_images_are_compared_with_smaller_ones_on_the_same_initial_states(reports):
    row = cells(page(reports, "table2"), "larger against smaller")
    assert row[1:8] == ["+0.8 points", "20", "12", "6", "0", "2", "+30.0 points"]
    assert row[-1] == "the model with 64 px is higher"
    claim = cells(page(reports, "claims"), CLAIMS["higher_resolution"].claim)
    assert claim[2:5] == ["+2.7 points (goal +0.8, object +7.2, spatial +2.0, long +1.0)", "18/20 against 12/20", "20"]
    assert claim[-1] == "supported"


def test_the_other_images_may_be_the_larger_ones(project):
    (project / "report.yaml").write_text(report_params().replace("pixels: 32", "pixels: 96"))
    folder = write_reports(project)
    goal = section(page(folder, "table2"), "Goal suite")
    assert cells(goal, "larger")[1:4] == ["action world model, 96 px", "83.4 %", "12/20"]
    claim = cells(page(folder, "claims"), CLAIMS["higher_resolution"].claim)
    assert (claim[3], claim[-1]) == ("12/20 against 18/20", "contradicted")


def test_table2_shows_the_papers_other_models(reports):
    others = section(page(reports, "table2"), "The paper's other rows")
    assert cells(others, "OpenVLA") == ["OpenVLA", "discrete", "yes", "84.7", "88.4", "79.2", "53.7", "76.5"]
    assert cells(others, "Seer (scratch)") == ["Seer (scratch)", "continuous", "no", "", "", "", "78.7", ""]
    assert "WorldVLA" not in others
    assert others.count("\n| ") == 2 + 8


def test_a_model_of_table2_that_did_not_run_says_what_to_run(project):
    (project / "rollouts" / "all_data_other-goal-1" / "episodes.parquet").unlink()
    folder = write_reports(project)
    missing = "missing: run `dvc repro rollout_other_pixels@all_data_other-goal-1`"
    assert cells(section(page(folder, "table2"), "Goal suite"), "smaller")[3] == missing
    assert cells(page(folder, "claims"), CLAIMS["higher_resolution"].claim)[3] == missing
    assert {"rollout_once@all_data-", "rollout_other_pixels@all_data_other-", "rollout_released@"} <= set(
        STAGES["table2"]
    )


def test_without_images_of_another_size_there_is_one_row(project):
    lines = [line for line in report_params().splitlines() if "all_data_other" not in line]
    (project / "report.yaml").write_text("\n".join(lines))
    folder = write_reports(project)
    goal = section(page(folder, "table2"), "Goal suite")
    assert cells(goal, "smaller")[1] == "action world model, 64 px"
    assert cells(goal, "larger")[1:3] == ["action world model, larger images", "not run"]
    assert "83.4 %" not in goal  # one size alone is neither the paper's 256 nor its 512
    assert cells(page(folder, "claims"), CLAIMS["higher_resolution"].claim)[-1] == "not run"


def test_a_task_that_is_held_out_is_left_out_of_all_pages_but_table2(project):
    (project / "report.yaml").write_text(report_params(split="release"))
    # All that is solved is of the held-out task, which the ablations must not see.
    write_rollouts(project / "rollouts" / "action-goal-1", "action", solved={(1, init) for init in range(10)})
    folder = write_reports(project)
    for name in (*BY_SUITE, "claims", "README"):
        assert page(folder, name).count(LEFT_OUT) == 1, name
    table3 = page(folder, "table3")
    assert cells(section(table3, "Goal suite"), "1", "action model")[3] == "0/10"
    assert cells(table3, "4 against 3")[2] == "10"
    assert f"| {HELD_OUT}" not in table3
    assert json.loads((folder / "metrics.json").read_text())["success_percent"]["goal"]["action"] == 0
    assert cells(page(folder, "claims"), CLAIMS["world_pretraining"].claim)[3:5] == ["9/10 against 0/10", "10"]
    assert cells(page(folder, "claims"), CLAIMS["higher_resolution"].claim)[3] == "18/20 against 12/20"
    assert cells(page(folder, "figure6"), "1")[1].startswith("0/10")
    table2 = page(folder, "table2")
    assert cells(section(table2, "Goal suite"), "larger")[3] == "18/20"
    assert "Scored on 2 tasks." in table2
    assert "left out" not in table2


def test_of_several_suites_the_average_leaves_out_a_task_of_each(project):
    (project / "report.yaml").write_text(report_params("[goal, spatial]", split="release"))
    for variant in SOLVED:
        write_rollouts(project / "rollouts" / f"{variant}-spatial-1", variant, "spatial")
    folder = write_reports(project)
    table3 = page(folder, "table3")
    assert table3.count(LEFT_OUT) == 2
    both = f"Scored on 2 of 4 tasks: “{HELD_OUT}” (goal), “{HELD_OUT}” (spatial) are left out, for the split `release`"
    assert f"{both} holds them out of training." in section(table3, "Average of the suites")
    assert cells(section(table3, "Average of the suites"), "4")[3] == "14/20"
    assert cells(section(page(folder, "table2"), "Average of the suites"), "larger")[3] == "36/40"


def test_held_out_tasks_are_scored_if_all_are_asked_for(project, reports):
    (project / "report.yaml").write_text(report_params(split="release", ablation_tasks="all"))
    folder = write_reports(project)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in reports.iterdir()
    }
    for name in (*BY_SUITE, "table2", "claims", "README"):
        assert "Scored on 2 tasks." in page(folder, name), name


def test_where_all_tasks_are_trained_on_all_are_scored(project, reports):
    (project / "report.yaml").write_text(report_params(split="paper", ablation_tasks="all"))
    folder = write_reports(project)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in reports.iterdir()
    }
