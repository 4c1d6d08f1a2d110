"""The pages about success rates: what their cells say, what stands in for a number, and that a page is an entry of a file."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from reporting_inputs import (
    SOLVED,
    cells,
    make_project,
    report_params,
    section,
    write_reports,
    write_rollouts,
)

from worldvla.params.trainings import planned_name
from worldvla.reporting import contents
from worldvla.reporting.contents import RATES, STAGES
from worldvla.reporting.inference.claims import CLAIMS
from worldvla.reporting.inference.published import published
from worldvla.reporting.inputs.runs import in_order
from worldvla.reporting.markdown import table

ROOT = Path(__file__).parents[1]
HELD_OUT = "put the can in the tray"  # the alphabetically last of the two tasks
LEFT_OUT = f"Scored on 1 of 2 tasks: “{HELD_OUT}” is left out, for the split `release` holds it out of training."


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("project")))


def page(folder: Path, name: str) -> str:
    return (folder / f"{name}.md").read_text()


def test_a_row_has_the_papers_number_ours_and_the_interval(reports):
    text = page(reports, "table3")
    row = cells(text, "1", "action model")
    assert row[2:6] == ["67.3 %", "8/20 = 40.0 %", "21.9 to 61.3", ""]
    assert row[6] == "[40.0](runs.md#action-goal-1)"
    assert cells(text, "2")[3] == "not run"
    assert cells(text, "5")[2:4] == ["85.1 %", "16/20 = 80.0 %"]
    assert "not comparable: other benchmark, other model" in text
    assert "answer was no chunk of actions: 3: 2." in text
    assert "Average" not in text
    assert cells(text, HELD_OUT)[1:] == ["4/10", "2/10", "7/10", "8/10"]
    far = section(text, "Goal: how far episodes come")
    assert cells(far, "4") == ["4", "100.0 %", "90.0 %", "80.0 %", "70.0 %"]


def test_one_training_per_row_has_no_verdict_but_an_interval_over_initial_states(project):
    (project / "report.yaml").write_text(report_params(least=3))
    text = page(write_reports(project), "table3")
    row = cells(text, "4 against 3")
    assert row[1:] == [
        "too few trainings: 1 training per arm; expected 3",
        "+50.0 points",
        "no interval",
        "+22.3 to +67.6",
        "+4.8 points",
    ]
    assert "2 against 1" not in text


def test_what_was_trained_longer_is_said_in_the_cell(reports):
    row = cells(page(reports, "table6"), "with against without")
    assert row[1] == "too few trainings: 1 training per arm; expected 2; the first trained 2 times as long"
    assert row[-1] == "+5.8 points"


def test_a_page_invents_no_number_of_the_paper(reports):
    text = page(reports, "figure7")
    assert cells(text, "video")[2:4] == ["", "10/20 = 50.0 %"]
    assert cells(text, "video against without")[-1] == "higher on two suites, lower on one"


def test_a_new_table_is_an_entry_of_one_file(project, monkeypatch):
    """The one that docs/how_to.md shows."""
    entry = (ROOT / "docs/how_to.md").read_text().split("## A table\n")[1].split("\n\n    ")[1].split("\n\n")[0]
    name, value = next(iter(yaml.safe_load(re.sub("^    ", "", f"    {entry}", flags=re.MULTILINE)).items()))
    monkeypatch.setitem(RATES, name, value)
    folder = write_reports(project)
    text = page(folder, name)
    assert text.startswith("# Table 7 at scale `mini`: one frame of history")
    assert cells(text, "chunks against single")[2] == "+30.0 points"
    assert (folder / "table7.png").exists()
    assert contents.variants("table7") == ["action_h1", "action_chunk_mask_h1"]


def test_every_entry_names_only_rows_and_variants_that_there_are():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    known = {name for kind in ("variants", "finetune", "once", "other_pixels") for name in params[kind]}
    known |= {planned_name(name) for name in params["planning"]}
    for name, entry in RATES.items():
        keys = [row["key"] for row in entry["rows"]]
        assert len(set(keys)) == len(keys)
        assert {key for one in entry["comparisons"] for key in one["rows"]} <= set(keys)
        assert set(contents.variants(name)) <= known
        curves = entry.get("chart", {}).get("curves", {})
        assert {variant for curve in curves.values() for variant in curve} <= set(contents.variants(name))
        assert all(published(str(row["paper"][0]), *row["paper"][1:]) for row in entry["rows"] if "paper" in row)
    assert {"rollout_once@all_data-", "rollout_other_pixels@all_data_other-", "rollout_released@"} <= set(
        STAGES["table2"]
    )
    assert "speed@" in STAGES["table5"]
    assert {"rollout@action_world_chunk_mask-", "rollout_planned@action_world_chunk_mask-"} <= set(STAGES["planning"])
    assert "rollout@action_world_chunk_mask-" in STAGES["figure4"]


def test_smaller_images_stand_beside_the_papers_smaller_ones(project):
    text = page(write_reports(project), "table2")
    assert cells(text, "smaller")[1:4] == ["action world model, 32 px", "82.6 %", "12/20 = 60.0 %"]
    assert cells(text, "larger")[1:4] == ["action world model, 64 px", "83.4 %", "18/20 = 90.0 %"]
    others = section(text, "The paper's other rows")
    assert cells(others, "Seer (scratch)") == ["Seer (scratch)", "continuous", "no", "", "", "", "78.7", ""]
    assert "WorldVLA" not in others
    (project / "report.yaml").write_text(report_params().replace("pixels: 32", "pixels: 96"))
    assert cells(page(write_reports(project), "table2"), "larger")[1:4] == [
        "action world model, 96 px",
        "83.4 %",
        "12/20 = 60.0 %",
    ]


def test_images_of_one_size_stand_beside_no_number_of_the_paper(project):
    lines = [line for line in report_params().splitlines() if "all_data_other" not in line]
    (project / "report.yaml").write_text("\n".join(lines))
    text = page(write_reports(project), "table2")
    assert cells(text, "smaller")[1:4] == ["action world model, 64 px", "", "18/20 = 90.0 %"]
    assert cells(text, "larger")[3] == "not run"


def test_frames_and_speeds_of_table5(reports):
    text = page(reports, "table5")
    assert cells(text, "4 frames, chunks")[1:4] == ["chunks, 4 frames", "84.7 %", "14/20 = 70.0 %"]
    assert cells(text, "2 frames against 1 frame")[-1] == "+8.9 points"
    speed = section(text, "Goal: speed")
    assert cells(speed, "2 frames, chunks")[1:] == ["3.13", "22 (14 to 22)", "230", "", "", ""]
    # Slow rounds slow both alike: the ratio has no spread.
    assert cells(speed, "1 frame")[1:] == ["2.27", "4.0 (2.7 to 4.0)", "250", "2 frames", "1.28", "1.3 (1.3 to 1.3)"]
    assert cells(speed, "4 frames")[2:] == ["not measured: run `dvc repro speed@goal`", "", "2 frames", "0.69", ""]
    assert "9 rounds on Slide rule, 1 core, commit def456, 2025-01-02 00:00 UTC." in speed
    assert (reports / "table5.png").exists()


def test_the_paper_stands_beside_no_other_number_of_frames(project):
    (project / "report.yaml").write_text(report_params().replace("history: 2", "history: 3"))
    assert cells(page(write_reports(project), "table5"), "2 frames")[1:3] == ["no chunks, 3 frames", ""]


def test_masks_are_compared_at_the_same_length_alone(project):
    assert cells(page(write_reports(project), "figure6"), "masked 10 against plain 10")[2] == "+80.0 points"
    text = report_params().replace("goal: 3, spatial: 3, long: 3", "goal: 4, spatial: 4, long: 4", 1)
    (project / "report.yaml").write_text(text)
    text = page(write_reports(project), "figure6")
    assert cells(text, "plain 3")[1] == "plain mask, 4 actions"
    assert cells(text, "masked 3 against plain 3")[1] == "not compared: chunks of different lengths"


def test_a_run_without_data_says_what_to_run(project):
    (project / "rollouts" / "action_chunk_mask-goal-1" / "episodes.parquet").unlink()
    folder = write_reports(project)
    for name in ("table3", "figure4", "figure7", "README", "claims"):
        assert "missing: run `dvc repro rollout@action_chunk_mask-goal-1`" in page(folder, name), name
    assert not (folder / "figure4-goal.png").exists()


def test_a_variant_that_is_not_to_be_rolled_out_is_not_missing(project):
    (project / "report.yaml").write_text(report_params().replace("rollout: true", "rollout: false"))
    assert cells(page(write_reports(project), "table3"), "1", "action model")[3] == "not run"


def test_without_any_data_there_is_still_a_report(project):
    for name in ("rollouts", "videos", "models", "speed", "tokenizers"):
        shutil.rmtree(project / name)
    folder = write_reports(project)
    assert "**What holds:** nothing yet." in page(folder, "README")
    assert {path.suffix for path in folder.iterdir()} == {".md", ".json", ".csv", ".html"}


def test_runs_without_a_common_initial_state_are_not_compared(project):
    path = project / "rollouts" / "action_from_world-goal-1" / "episodes.parquet"
    rows = [row | {"init_state": row["init_state"] + 10} for row in pq.read_table(path).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), path)
    folder = write_reports(project)
    assert cells(page(folder, "table6"), "with against without")[1] == "no initial state in common"
    assert "no initial state in common" in page(folder, "README")


def test_two_scales_in_one_report_are_refused_by_name(project):
    made_of = project / "rollouts" / "action_chunk_mask-goal-1" / "made_of.json"
    made_of.write_text(made_of.read_text().replace("t" * 64, "s" * 64, 1))
    text = page(write_reports(project), "table3")
    assert cells(text, "4 against 3")[1] == (
        "refused: action_chunk_mask-goal-1 and action_chunk-goal-1 differ in the tokenizer, as of two scales or machines: "
        "run `dvc repro rollout@action_chunk_mask-goal-1 rollout@action_chunk-goal-1`"
    )


def test_suites_stand_in_the_papers_order_and_their_average_comes_last(project):
    (project / "report.yaml").write_text(report_params("[long, spatial, goal]"))
    for suite in ("long", "spatial"):
        for variant in SOLVED:
            write_rollouts(project / "rollouts" / f"{variant}-{suite}-1", variant, suite)
    folder = write_reports(project)
    text = page(folder, "table3")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    suites = ["Goal suite", "Spatial suite", "Long suite", "Average of the suites"]
    assert headings == [*suites, "Other runs of these rows"]
    average = text[text.index("## Average of the suites") :]
    # 84.4, 81.8 and 49.3 in the paper.
    assert cells(average, "4")[2:4] == ["71.8 %", "42/60 = 70.0 %"]
    assert cells(average, "2")[3] == "not run"
    # Strata: narrower than a suite's own interval, and not that of one sample of sixty.
    assert cells(average, "4")[4] == "57.4 to 78.9"
    assert "average: ours" in page(folder, "README")
    spatial = page(folder, "table5").split("## Spatial suite")[1].split("\n## ")[0]
    assert cells(spatial, "2 frames")[2] == ""  # the paper has the goal suite alone
    assert in_order(["ours", "long", "goal"]) == ["goal", "long", "ours"]


def test_a_task_that_is_held_out_is_left_out_of_all_pages_but_table2(project):
    (project / "report.yaml").write_text(report_params(split="release"))
    # All that is solved is of the held-out task, which the ablations must not see.
    write_rollouts(project / "rollouts" / "action-goal-1", "action", solved={(1, init) for init in range(10)})
    folder = write_reports(project)
    for name in ("table3", "table5", "table6", "figure4", "figure6", "figure7", "claims", "README"):
        assert page(folder, name).count(LEFT_OUT) == 1, name
    assert cells(page(folder, "table3"), "1", "action model")[3] == "0/10 = 0.0 %"
    assert f"| {HELD_OUT}" not in page(folder, "table3")
    assert json.loads((folder / "metrics.json").read_text())["success_percent"]["goal"]["action"] == 0
    assert "90.0 against 0.0, n = 10" in page(folder, "claims")
    table2 = page(folder, "table2")
    assert cells(table2, "larger")[3] == "18/20 = 90.0 %"
    assert "left out" not in table2


def test_held_out_tasks_are_scored_if_all_are_asked_for(project, reports):
    for split in ("release", "paper"):
        (project / "report.yaml").write_text(report_params(split=split, ablation_tasks="all"))
        folder = write_reports(project)
        same = {path.name: path.read_bytes() for path in reports.iterdir()}
        assert {path.name: path.read_bytes() for path in folder.iterdir()}.keys() == same.keys()
        assert page(folder, "table3") == page(reports, "table3")


def test_a_suite_cut_to_some_tasks_and_the_simulator_are_named(project):
    params = project / "report.yaml"
    text = params.read_text().replace("goal: [2, 2]", "goal: [2, 10]").replace("benchmark: mini", "benchmark: libero")
    params.write_text(text)
    reports = write_reports(project)
    for name in ("table3", "README"):
        assert "Scored on 2 tasks. Of 10 tasks 2 were chosen, by `tasks` in params.yaml." in page(reports, name)
    assert "mujoco 3.3.2, robosuite 1.4.0, hf-libero 0.1.4" in page(reports, "README")
    assert "not comparable: some of the tasks, other demonstrations, other looks, other model" in page(
        reports, "table3"
    )


def test_every_number_leads_to_its_run(reports):
    text = page(reports, "runs")
    anchors = set(re.findall(r"^## (.*)$", text, re.MULTILINE))
    linked = {link for path in reports.glob("*.md") for link in re.findall(r"\(runs\.md#([^)]+)\)", path.read_text())}
    assert {f"{variant}-goal-1" for variant in SOLVED} <= linked
    assert linked <= anchors | {"world-goal-1"}
    one = section(text, "action-goal-1")
    assert "`dvc repro rollout@action-goal-1`: commit abc123, 2025-01-01 00:00 UTC, 43 s on Abacus, 2 cores" in one
    assert "`dvc repro train@action-goal-1`: commit unknown" in one
    assert "training shards `dddddddddddd`" in one
    assert "clips predicted by [world-1](runs.md#world-goal-1)" in section(text, "clips-goal")


def test_pages_are_linked_and_every_picture_exists(reports):
    pages = {path.name: path.read_text() for path in reports.glob("*.md")}
    links = {link.split("#")[0] for text in pages.values() for link in re.findall(r"\]\(([^)]+)\)", text)}
    assert links == {path.name for path in reports.iterdir()} - {"README.md", "metrics.json"}
    assert set(pages) - {"README.md"} <= set(re.findall(r"^- \[.*\]\((.*)\)", pages["README.md"], re.MULTILINE))
    for name, text in pages.items():
        assert name in ("table1.md", "forensics.md") or re.match(r"# .*scale `mini`", text), name
        assert not re.search(r"\bour mask|\bReads\b|supported|contradicted", text), name  # one word for one thing


def test_the_same_runs_give_the_same_bytes(reports, project):
    (project / "report.yaml").write_text(report_params())
    again = write_reports(project)
    # Paths of weights name the folder of the project.
    differ = {path.name for path in again.iterdir() if path.read_bytes() != (reports / path.name).read_bytes()}
    assert not differ


def test_tables_align():
    assert table(["Name", "k"], [["a", "10"], ["b|c", "9"]], right=["k"]) == (
        "| Name |   k |\n| ---- | --: |\n| a    |  10 |\n| b\\|c |   9 |"
    )


@pytest.mark.parametrize("name", ["table3", "table6"])
def test_published_averages_are_the_means_of_their_suites(name):
    for numbers in published(name).values():
        mean = sum(numbers[suite] for suite in ("goal", "object", "spatial", "long")) / 4
        assert abs(mean - numbers["average"]) < 0.1


def test_the_first_page_begins_with_a_picture_and_three_sentences(reports):
    blocks = page(reports, "README").split("\n\n")
    assert blocks[1].endswith("(forest.png)")
    starts = ["**What holds:**", "**What is open:**", "**What came out the other way:**"]
    assert [block.split(" **")[0][: len(start)] for block, start in zip(blocks[2:5], starts, strict=True)] == starts
    for claim in CLAIMS.values():
        assert f"- {claim.claim}" in page(reports, "README")
    lines = [line for line in page(reports, "claims").splitlines() if line.startswith("| ")]
    assert all(line.split("|")[1].strip() for line in lines)  # the verdict comes first: it is never cut off


def test_how_much_longer_a_control_was_trained_follows_from_the_params(project):
    (project / "report.yaml").write_text(report_params())
    assert cells(page(write_reports(project), "table3"), "1, longer")[1] == "row 1, trained longer"
    lines = []
    for line in report_params().splitlines():
        lines.append(line.replace("times: 1", "times: 3") if line.startswith("    action_world_chunk_mask:") else line)
        if line.startswith("    action:"):
            lines.append(line.replace("action:", "action_longer:").replace("times: 1", "times: 5"))
    (project / "report.yaml").write_text("\n".join(lines) + "\n")
    folder = write_reports(project)
    assert cells(page(folder, "table3"), "1, longer")[1] == "row 1, trained 5 times as long"
    assert cells(page(folder, "table6"), "without, longer")[1] == "action model, trained 5 times as long"
    assert "The action world model was trained 3 times as long as the world model." in page(folder, "table4")
