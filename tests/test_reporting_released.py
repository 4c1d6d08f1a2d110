"""Table 2 with the paper's own weights."""

import json
from pathlib import Path

import pytest
from reporting_inputs import cells, make_project, section, write_reports, write_rollouts

from worldvla.metrics.outliers import lower_than_others

TEN = [f"put_thing_{number}_on_the_plate" for number in range(10)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ASSETS = "mujoco 3.3.2, robosuite 1.4.0, hf-libero 0.1.4, assets ac6d9c70ae4d"
COMPARABLE = "comparable: see the interval"


def write_released(rollouts: Path, name: str, num_states: int = 50, assets: str = "the published ones") -> None:
    """Ten tasks; all succeed in nine of ten initial states, but the third in 2 of 50."""
    solved = {(task, state) for task in range(10) for state in range(num_states) if state % 10 and task != 2}
    write_rollouts(rollouts / f"{name}-goal", name, solved=solved | {(2, 1), (2, 2)}, tasks=TEN, num_states=num_states)
    path = rollouts / f"{name}-goal" / "made_of.json"
    made_of = json.loads(path.read_text()) | {"simulator": f"{ASSETS} ({assets})"}
    folder = f"model_{name[-3:]}/libero_goal"
    path.write_text(json.dumps(made_of | {"released": f"Alibaba-DAMO-Academy/WorldVLA, {folder}, commit {COMMIT}"}))


@pytest.fixture
def project(tmp_path):
    make_project(tmp_path)
    params = tmp_path / "report.yaml"
    text = params.read_text().replace("released: []", "released: [released_256, released_512]")
    text = text.replace("benchmark: mini", "benchmark: libero").replace("looks: simple", "looks: published")
    params.write_text(text.replace("goal: [2, 2]", "goal: [10, 10]"))
    write_released(tmp_path / "rollouts", "released_256")
    return tmp_path


def table2(project: Path) -> str:
    return (write_reports(project) / "table2.md").read_text()


def test_released_rows_stand_beside_ours_with_the_papers_numbers(project):
    text = section(table2(project), "Goal suite")
    row = cells(text, "released_256")
    assert row[1:5] == ["the paper's weights, 256 px", "82.6 %", "407/500 = 81.4 %", "77.8 to 84.6"]
    assert row[-1].endswith(f"; {COMPARABLE}")
    assert cells(text, "released_512")[2:4] == [
        "83.4 %",
        "missing: run `dvc repro rollout_released@released_512-goal`",
    ]
    assert "Ours and the paper's are not comparable: other demonstrations, other model." in table2(project)


def test_they_stand_alone_where_ours_have_not_run(project):
    for variant in ("all_data", "all_data_other"):
        (project / "rollouts" / f"{variant}-goal-1" / "episodes.parquet").unlink()
    text = table2(project)
    assert "| smaller" not in text
    assert "our smaller images" not in text.lower()
    assert cells(text, "released_256")
    first = (project / "reports" / "README.md").read_text()
    assert cells(section(first, "Table 2: the benchmark"), "released_256")[2].startswith("81.4 %")


def test_every_task_has_its_rate_and_the_one_that_cannot_be_is_flagged(project):
    text = section(table2(project), "Goal: the paper's weights, task by task")
    assert cells(text, "released_256", "put thing 2 on the plate")[2:] == [
        "2/50 = 4.0 %",
        "1.1 to 13.5",
        "< 0.001",
        "low",
    ]
    assert cells(text, "released_256", "put thing 3 on the plate")[2:] == [
        "45/50 = 90.0 %",
        "78.6 to 95.7",
        "1.000",
        "",
    ]
    assert [line.split("|")[2].strip() for line in text.splitlines() if line.endswith("| low  |")] == [
        "put thing 2 on the plate"
    ]


def test_the_page_says_which_weights_which_simulator_and_by_which_rule(project):
    text = table2(project)
    assert f"Alibaba-DAMO-Academy/WorldVLA, model_256/libero_goal, commit {COMMIT}" in text
    assert f"Simulated by {ASSETS} (the published ones)." in text
    assert "Fisher's exact test, one-sided" in text
    assert "corrected after Holm" in text
    runs = (project / "reports/runs.md").read_text()
    assert "not trained here" in section(runs, "released_256-goal")


def test_the_two_sizes_are_compared_on_the_same_initial_states(project):
    write_released(project / "rollouts", "released_512")
    row = cells(table2(project), "released_512 against released_256")
    assert (row[2], row[-1]) == ("+0.0 points", "+0.8 points")


@pytest.mark.parametrize(
    ("num_states", "assets", "verdict"),
    [
        (10, "the published ones", "not comparable: fewer initial states"),
        (50, "not the published ones", "not comparable: other assets"),
    ],
)
def test_numbers_are_comparable_only_if_all_but_the_weights_is_as_in_the_paper(num_states, assets, verdict, project):
    write_released(project / "rollouts", "released_256", num_states, assets)
    assert cells(section(table2(project), "Goal suite"), "released_256")[-1].endswith(f"; {verdict}")


def test_some_of_the_tasks_are_not_comparable(project):
    params = project / "report.yaml"
    params.write_text(params.read_text().replace("goal: [10, 10]", "goal: [2, 10]"))
    verdict = "not comparable: some of the tasks"
    assert cells(section(table2(project), "Goal suite"), "released_256")[-1].endswith(f"; {verdict}")


def test_a_task_is_low_only_if_chance_cannot_make_it_so():
    assert lower_than_others([(5, 50)]) == [1.0]
    assert min(lower_than_others([(40, 50)] * 9 + [(36, 50)])) > 0.5
    corrected = lower_than_others([(45, 50)] * 9 + [(30, 50)])
    assert corrected[-1] < 0.001
    assert min(corrected[:-1]) == 1.0
