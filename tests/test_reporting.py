import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from reporting_inputs import SOLVED, cells, make_project, report_params, section, write_reports, write_rollouts

from worldvla.reporting.markdown import table
from worldvla.reporting.published import published
from worldvla.reporting.runs import Episodes, in_order, shared_outcomes
from worldvla.reporting.verdicts import CLAIMS

NOT_COMPARABLE = "not comparable: other benchmark, other model"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("project")))


def test_table3_shows_the_papers_number_ours_and_the_interval(reports):
    text = (reports / "table3.md").read_text()
    assert cells(text, "1", "action model") == [
        "1",
        "action model",
        "67.3 %",
        "8/20",
        "40.0 %",
        "21.9 to 61.3 %",
        NOT_COMPARABLE,
    ]
    assert cells(text, "2")[3] == "not run"
    assert cells(text, "4")[2:5] == ["84.4 %", "14/20", "70.0 %"]
    assert cells(text, "5")[2:5] == ["85.1 %", "16/20", "80.0 %"]
    assert "row 3: 2." in text  # policy failures
    assert "Average" not in text


def test_rows_are_compared_on_the_same_initial_states(reports):
    text = (reports / "table3.md").read_text()
    row = cells(text, "4 against 3")
    assert row[1:8] == ["+4.8 points", "20", "4", "10", "0", "6", "+50.0 points"]
    assert row[-2:] == ["0.002", "row 4 is higher"]
    assert cells(text, "5 against 4")[-1] == "inconclusive"
    assert "2 against 1" not in text
    assert cells(text, "put the can in the tray")[1:] == ["4/10", "2/10", "7/10", "8/10"]


def test_a_suite_cut_to_some_tasks_and_the_simulator_are_named(project):
    params = project / "report.yaml"
    params.write_text(
        params.read_text().replace("goal: [2, 2]", "goal: [2, 10]").replace("benchmark: mini", "benchmark: libero")
    )
    reports = write_reports(project)
    for page in ("table3", "README"):
        text = (reports / f"{page}.md").read_text()
        assert "Scored on 2 tasks. Of 10 tasks 2 were chosen, by `tasks` in params.yaml." in text
        assert "mujoco 3.3.2, robosuite 1.4.0, hf-libero 0.1.4" in text
    assert cells((reports / "table3.md").read_text(), "1", "action model")[-1] == (
        "not comparable: some of the tasks, other demonstrations, other looks, other model"
    )


def test_table6_compares_with_and_without_pretraining(reports):
    text = (reports / "table6.md").read_text()
    assert cells(text, "without")[2:4] == ["67.3 %", "8/20"]
    assert cells(text, "with")[2:] == ["73.1 %", "18/20", "90.0 %", "69.9 to 97.2 %", NOT_COMPARABLE]
    row = cells(text, "with against without")
    assert row[1:8] == ["+5.8 points", "20", "8", "10", "0", "2", "+50.0 points"]
    assert row[-1] == "the model with pretraining is higher"
    assert "training 43 s, rollouts unknown time" in text  # its training is a finetuning


def test_figure7_invents_no_number_of_the_paper(reports):
    text = (reports / "figure7.md").read_text()
    assert cells(section(text, "Goal suite"), "Row") == ["Row", "Model", "Ours", "Rate", "95 % interval"]
    assert cells(text, "video")[2:4] == ["10/20", "50.0 %"]
    assert cells(text, "world against without")[1] == "higher on every suite"
    row = cells(text, "video against without")
    assert row[1] == "higher on two suites, lower on one"
    assert row[7] == "-20.0 points"
    assert row[-1] == "inconclusive"


def test_provenance_leads_back_from_the_number(reports):
    text = (reports / "table3.md").read_text()
    block = text[text.index("- `dvc repro rollout@action-goal-1`") :]
    assert "params `pppppppppppp`, data `dddddddddddd`, tokenizer `tttttttttttt`, weights `wwwwwwwwwwww`" in block
    assert "commit abc123, 2025-01-01 00:00 UTC" in block
    assert "training unknown time, rollouts 43 s, on Abacus, 2 cores" in block
    assert "commit unknown" in block  # the runs without a timing file


def test_a_run_without_data_says_what_to_run(project):
    (project / "rollouts" / "action_chunk_mask-goal-1" / "episodes.parquet").unlink()
    folder = write_reports(project)
    for name in ("table3.md", "figure4.md", "figure7.md", "README.md"):
        assert "missing: run `dvc repro rollout@action_chunk_mask-goal-1`" in (folder / name).read_text()
    assert not (folder / "figure4-goal.png").exists()


def test_a_variant_that_is_not_to_be_rolled_out_is_not_missing(project):
    params = report_params().replace("rollout: true", "rollout: false")
    (project / "report.yaml").write_text(params)
    assert cells((write_reports(project) / "table3.md").read_text(), "1", "action model")[3] == "not run"


def test_without_any_data_there_is_still_a_report(project):
    shutil.rmtree(project / "rollouts")
    shutil.rmtree(project / "videos")
    for name in ("models", "speed", "tokenizers"):
        shutil.rmtree(project / name)
    folder = write_reports(project)
    for name in ("table3", "table4", "table5", "table6", "figure4", "figure5", "figure6", "figure7"):
        assert "No run has data yet." in (folder / f"{name}.md").read_text()
    assert {path.suffix for path in folder.iterdir()} == {".md", ".json", ".csv"}


def test_runs_without_a_common_initial_state_are_not_compared(project):
    run = project / "rollouts" / "action_from_world-goal-1"
    write_rollouts(run, "action_from_world", suite="elsewhere")
    folder = write_reports(project)
    assert cells((folder / "table6.md").read_text(), "with against without")[-1] == "no initial state in common"
    assert "no initial state in common" in (folder / "README.md").read_text()


def test_a_suite_that_the_paper_does_not_have_comes_after_its_own():
    assert in_order(["ours", "long", "goal"]) == ["goal", "long", "ours"]


def test_suites_stand_in_the_papers_order_and_their_average_comes_last(project):
    (project / "report.yaml").write_text(report_params("[long, spatial, goal]"))
    for suite in ("long", "spatial"):
        for variant in SOLVED:
            write_rollouts(project / "rollouts" / f"{variant}-{suite}-1", variant, suite)
    folder = write_reports(project)
    text = (folder / "table3.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[:-1] == [
        "Goal suite",
        "Spatial suite",
        "Long suite",
        "Average of the suites",
    ]
    assert re.findall(r"Chunks of (\w+) actions", text) == ["5", "5", "10"]
    average = text[text.index("## Average of the suites") :]
    # 84.4, 81.8 and 49.3 in the paper.
    assert cells(average, "4")[2:4] == ["71.8 %", "42/60"]
    assert cells(average, "2")[3] == "not run"
    assert cells(average, "4 against 3")[2] == "60"
    assert "over the same suites" in average
    assert "average: ours" in (folder / "README.md").read_text()


def test_the_first_page_reads_every_claim(reports):
    text = (reports / "README.md").read_text()
    for claim in CLAIMS.values():
        assert cells(text, claim.claim)[-1]
    assert cells(text, CLAIMS["joint_without_chunks"].claim)[-1] == "not run"
    assert cells(text, CLAIMS["video_fails_some_suite"].claim)[-1] == "inconclusive: 1 of 4 suites"
    assert cells(text, "5")[2] == "16/20 = 80.0 % (58.4 to 91.9)"
    assert cells(text, "goal", "world model")[3] == "29.62"
    assert cells(text, "with")[3] == "73.1 %"


def test_pages_are_linked_and_every_picture_exists(reports):
    pages = {path.name: path.read_text() for path in reports.glob("*.md")}
    links = {link for text in pages.values() for link in re.findall(r"\]\(([^)]+)\)", text)}
    assert links == {path.name for path in reports.iterdir()} - {"README.md", "metrics.json"}
    assert set(re.findall(r"^- \[.*\]\((.*)\)", pages["README.md"], re.MULTILINE)) == set(pages) - {"README.md"}
    for name, text in pages.items():
        assert name in ("table1.md", "forensics.md") or re.match(r"# .*scale `mini`", text)


def test_the_same_runs_give_the_same_bytes(reports, project):
    again = write_reports(project)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in reports.iterdir()
    }


def test_tables_align():
    assert table(["Name", "k"], [["a", "10"], ["b|c", "9"]], right=["k"]) == (
        "| Name |   k |\n| ---- | --: |\n| a    |  10 |\n| b\\|c |   9 |"
    )


def test_episodes_without_a_common_start_share_no_outcomes():
    rows = [
        {"suite": suite, "task_index": 0, "init_state": 0, "training": 1, "success": True} for suite in ("goal", "long")
    ]
    first, second = shared_outcomes(Episodes(rows[:1]), Episodes(rows[1:]))
    assert first.dtype == second.dtype == np.bool_
    assert first.shape == second.shape == (0,)


@pytest.mark.parametrize("name", ["table3", "table6"])
def test_published_averages_are_the_means_of_their_suites(name):
    for numbers in published(name).values():
        mean = sum(numbers[suite] for suite in ("goal", "object", "spatial", "long")) / 4
        assert abs(mean - numbers["average"]) < 0.1


def test_the_numbers_for_comparing_experiments_are_those_of_the_tables(reports):
    found = json.loads((reports / "metrics.json").read_text())
    assert set(found) == {"success_percent", "psnr_20_frames"}
    rate = cells((reports / "table3.md").read_text(), "5")[4]
    assert f"{found['success_percent']['goal']['action_world_chunk_mask']:.1f} %" == rate
    assert "action_world" not in found["success_percent"]["goal"]
    assert all(value > 0 for value in found["psnr_20_frames"]["goal"].values())
