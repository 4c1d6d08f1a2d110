"""Table 5 and figure 6: frames of the history, length of the chunk."""

import re
from pathlib import Path

import pytest
from reporting_inputs import SOLVED, TIMED, cells, make_project, report_params, section, write_reports, write_rollouts

from worldvla.reporting.curves import Curve, Point, success_curves
from worldvla.reporting.runs import Rate

GIVEN_NUMBERS = "goal: 5, spatial: 5, long: 10"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("project")))


def set_params(project: Path, before: str, after: str, suites: str = "[goal]") -> None:
    text = report_params(suites)
    assert before in text
    (project / "report.yaml").write_text(text.replace(before, after))


def add_suite(project: Path, suite: str) -> None:
    for variant in SOLVED:
        write_rollouts(project / "rollouts" / f"{variant}-{suite}-1", variant, suite)


def test_table5_has_the_papers_layout(reports):
    for page in ("table5.md", "README.md"):
        row = cells((reports / page).read_text(), "goal", "without chunks")
        assert row[2:6] == [
            "2/20 = 10.0 % (2.8 to 30.1), 4.00 actions/s",
            "58.4 %, 2.27 FPS",
            "8/20 = 40.0 % (21.9 to 61.3), 3.00 actions/s",
            "67.3 %, 1.77 FPS",
        ]
        assert row[6].endswith("; speed not measured: run `dvc repro speed@action_h4-goal-1`")
    text = (reports / "table5.md").read_text()
    assert cells(text, "goal", "with chunks")[4:6] == [
        "14/20 = 70.0 % (48.1 to 85.5), 21.50 actions/s",
        "84.4 %, 3.13 FPS",
    ]
    assert cells(text, "action_chunk_mask_h4")[1:5] == [
        "action model, with chunks, 4 frames",
        "84.7 %",
        "14/20",
        "70.0 %",
    ]
    assert (reports / "table5.png").exists()


def test_more_frames_are_compared_with_fewer_on_the_same_initial_states(reports):
    text = (reports / "table5.md").read_text()
    assert cells(text, "action against action_h1")[1:8] == ["+8.9 points", "20", "2", "6", "0", "12", "+30.0 points"]
    assert cells(text, "action against action_h1")[-1] == "the model with 2 frames is higher"
    assert cells(text, "action_chunk_mask_h4 against action_chunk_mask")[1] == "+0.3 points"
    assert len(re.findall(r" against action", section(text, "Goal: row against row"))) == 4


def test_speed_names_its_hardware_and_what_is_not_measured(reports):
    text = (reports / "table5.md").read_text()
    speed = section(text, "Goal: speed")
    assert cells(speed, "action_chunk_mask")[2:] == ["3.13", "21.50", "46.5", "7", "Slide rule, 1 core"]
    assert cells(speed, "action_h4")[3:5] == ["not measured: run `dvc repro speed@action_h4-goal-1`", ""]
    assert len(re.findall(r"^- `dvc repro speed@.*: commit def456", text, re.MULTILINE)) == len(TIMED)
    assert "not comparable" in text


def test_a_variant_that_is_not_to_be_timed_is_not_missing(project):
    set_params(project, "speed: true", "speed: false")
    text = (write_reports(project) / "table5.md").read_text()
    assert cells(section(text, "Goal: speed"), "action")[3] == "not run"
    assert "dvc repro speed" not in text


def test_the_paper_stands_beside_the_same_number_of_frames(project):
    set_params(project, "history: 2", "history: 4")
    text = (write_reports(project) / "table5.md").read_text()
    row = cells(text, "goal", "without chunks")
    assert row[4].startswith("8/20 = 40.0 % (21.9 to 61.3), 3.00 actions/s; 10/20 = 50.0 %")
    assert row[5] == "78.7 %, 1.22 FPS"
    assert "| 2 frames" not in text
    # Two runs with four frames each are not compared with each other.
    assert len(re.findall(r" against action", section(text, "Goal: row against row"))) == 2
    set_params(project, "history: 2", "history: 3")
    assert cells((write_reports(project) / "table5.md").read_text(), "action")[1:4] == [
        "action model, without chunks, 3 frames",
        "",
        "8/20",
    ]


def test_the_papers_numbers_of_table5_are_of_the_goal_suite_alone(project):
    (project / "report.yaml").write_text(report_params("[goal, spatial]"))
    add_suite(project, "spatial")
    text = (write_reports(project) / "table5.md").read_text()
    assert cells(text, "spatial", "with chunks")[5] == ""
    assert cells(text, "average", "with chunks")[4] == "28/40 = 70.0 % (54.6 to 81.9)"
    spatial = text[text.index("## Spatial suite") : text.index("## Where")]
    assert "Paper: FPS" in spatial
    assert "over the same suites" not in spatial
    assert cells(spatial, "action_h1")[2:] == ["2/20", "10.0 %", "2.8 to 30.1 %"]
    assert cells(spatial, "action against action_h1")[1] == ""


def test_figure6_compares_the_masks_at_every_length(reports):
    text = (reports / "figure6.md").read_text()
    assert cells(text, "1")[1:] == ["8/20 = 40.0 % (21.9 to 61.3)"] * 2 + ["20", "", "", "", "the same run", "`action`"]
    assert cells(text, "5")[1:] == [
        "4/20 = 20.0 % (8.1 to 41.6)",
        "14/20 = 70.0 % (48.1 to 85.5)",
        "20",
        "+50.0 points",
        "+22.3 to +67.6",
        "0.002",
        "our mask is higher",
        "`action_chunk`, `action_chunk_mask`",
    ]
    assert cells(text, "3")[7] == "inconclusive"
    assert "`action_chunk`: 2." in text  # policy failures
    assert "Left out" not in text
    assert cells((reports / "README.md").read_text(), "goal", "10")[2:] == [
        "2/20 = 10.0 % (2.8 to 30.1)",
        "18/20 = 90.0 % (69.9 to 97.2)",
    ]
    assert (reports / "figure6.png").exists()


def test_two_pairs_of_one_length_are_both_shown(project):
    set_params(project, GIVEN_NUMBERS, "goal: 10, spatial: 10, long: 10")
    rows = re.findall(r"^\|\s+(\d+) \|.*\| `(\w+)`", (write_reports(project) / "figure6.md").read_text(), re.MULTILINE)
    assert [length for length, _ in rows] == ["1", "3", "10", "10"]


def test_lengths_are_sorted_whatever_the_variants_are_called(project):
    set_params(project, GIVEN_NUMBERS, "goal: 2, spatial: 2, long: 2", "[goal, long]")
    add_suite(project, "long")
    text = (write_reports(project) / "figure6.md").read_text()
    assert re.findall(r"^\|\s+(\d+) \|", text, re.MULTILINE) == ["1", "2", "3", "10"] * 2


def test_a_length_without_a_run_says_what_to_run(project):
    (project / "rollouts" / "action_chunk_k10-goal-1" / "episodes.parquet").unlink()
    row = cells((write_reports(project) / "figure6.md").read_text(), "10")
    assert row[1] == "missing: run `dvc repro rollout@action_chunk_k10-goal-1`"
    assert row[2] == "18/20 = 90.0 % (69.9 to 97.2)"
    assert row[3:8] == [""] * 5


def test_variants_that_are_no_pair_are_left_out_and_named(project):
    text = "\n".join(line for line in report_params().splitlines() if "action_chunk_k3:" not in line)
    before = re.search(r"action: \{.*?chunk: \{(.*?)\}", text)
    assert before
    text = text.replace(
        f"action: {{samples: [action], mask: causal, history: 2, chunk: {{{before[1]}}}",
        f"action: {{samples: [action], mask: causal, history: 2, chunk: {{{GIVEN_NUMBERS}}}",
    )
    (project / "report.yaml").write_text(text)
    page = (write_reports(project) / "figure6.md").read_text()
    assert re.findall(r"^\|\s+(\d+) \|", page, re.MULTILINE) == ["5", "10"]
    assert "not the same chunks under both masks: `action`, `action_chunk_k3` and `action_chunk_mask_k3`." in page


def test_runs_of_other_initial_states_are_not_compared(project):
    write_rollouts(project / "rollouts" / "action_chunk_k3-goal-1", "action_chunk_k3", suite="elsewhere")
    assert cells((write_reports(project) / "figure6.md").read_text(), "3")[7] == "no initial state in common"


def test_a_chart_of_nothing_is_not_drawn(tmp_path):
    assert not success_curves(tmp_path / "chart.png", {"goal": [Curve("a", []), Curve("b", [])]}, "nothing", "frames")
    lone = Curve("a", [Point(1, Rate(3, 4), "action")])
    assert success_curves(tmp_path / "chart.png", {"goal": [lone, Curve("b", [])], "long": []}, "one point", "frames")
    assert [path.name for path in tmp_path.iterdir()] == ["chart.png"]
