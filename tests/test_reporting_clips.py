"""The page of table 4, and what it does with clips that are few, missing or without weights."""

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reporting_inputs import SUBSTITUTE, cells, make_project, report_params, section, write_clips, write_reports

from worldvla.reporting import scores
from worldvla.reporting.scores import LPIPS, PSNR
from worldvla.reporting.world_models import verdict

ABSENT = "not computed: weights absent"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    return (write_reports(make_project(tmp_path_factory.mktemp("project"))) / "table4.md").read_text()


def page(project: Path) -> str:
    return (write_reports(project) / "table4.md").read_text()


def test_scores_stand_beside_the_papers(text):
    short = section(text, "Goal: 10 frames")
    row = cells(short, "world model")
    assert row[:5] == ["world model", "250.0", "29.62", "90.73", "11.97"]
    assert re.fullmatch(r"19\.25 \(19\.\d\d to 19\.\d\d\)", row[5])
    assert row[6:] == ["50.00 (50.00 to 50.00)", ABSENT, ABSENT, ABSENT]
    assert cells(short, "copy of the given frame")[1:5] == [""] * 4
    assert cells(short, "tokenizer's reconstruction (ceiling)")[5].startswith("29.25 ")
    long = section(text, "Goal: 20 frames, beside the paper's 50")
    assert cells(long, "action world model")[1:5] == ["674.1", "24.30", "83.55", "15.44"]


def test_fvd_never_names_a_substitute_and_no_paper_number_stands_beside_one(text):
    assert SUBSTITUTE in text
    for line in text.splitlines():
        if line.startswith("|") and "FVD" in line:
            assert SUBSTITUTE not in line
    tables = [block for block in text.split("\n\n") if block.startswith("|") and SUBSTITUTE in block.splitlines()[0]]
    assert len(tables) == 3  # of each horizon, and as the successor's script does
    assert not any("250.0" in block or "Paper" in block for block in tables)
    distances = section(text, "Goal: 10 frames")
    assert "plumbing check, not evidence of motion quality" in distances
    row = cells(distances[distances.index(SUBSTITUTE) :], "world model")
    assert row[1:] == ["301.5", "280.5 to 320.5", "44.5", "6", "10", "`eeeeeeeeeeee`"]
    against = section(text, "Goal: action world model against world model")
    assert cells(against, "10", SUBSTITUTE)[2] == ""
    assert cells(against, "10", SUBSTITUTE)[-1] == "side by side: no test"


def test_with_all_weights_fvd_and_lpips_stand_in_their_columns(project):
    write_clips(project / "videos" / "goal", extractor="FVD", lpips=True)
    text = page(project)
    row = cells(section(text, "Goal: 10 frames"), "world model")
    assert row[7:] == ["20.00 (20.00 to 20.00)", "10.00 (10.00 to 10.00)", "301.5"]
    assert "plumbing" not in text
    assert "not computed" not in text
    against = section(text, "Goal: action world model against world model")
    assert cells(against, "10", "FVD")[2] == "+5.1"
    assert cells(against, "20", "FVD")[2] == "-44.5"
    assert cells(against, "10", "LPIPS x100")[2:] == ["-0.03", "6", "-0.95", "-0.95 to -0.95", "lower: better"]
    assert "FVD, biased" in text


def test_a_model_that_ignores_the_action_is_told_from_one_that_uses_it(text):
    block = section(text, "Goal: does the model use the action?")
    assert cells(block, "world model", "10", "PSNR, dB")[-3:] == ["+0.00", "+0.00 to +0.00", "inconclusive"]
    assert cells(block, "action world model", "20", "PSNR, dB")[-4:] == [
        "6",
        "+2.00",
        "+2.00 to +2.00",
        "uses the action",
    ]


def test_models_are_compared_with_copying_and_with_each_other(text):
    copying = section(text, "Goal: does it beat copying?")
    assert cells(copying, "action world model", "10", "PSNR, dB")[-3:] == ["+3.00", "+3.00 to +3.00", "beats copying"]
    against = section(text, "Goal: action world model against world model")
    row = cells(against, "20", "PSNR, dB")
    assert row[2:5] == ["+0.32", "6", "+1.00"]
    assert row[-1] == "higher: better"
    assert cells(against, "10", "LPIPS x100")[4:] == [ABSENT, "", ""]


def test_the_successors_way_counts_the_given_frame_and_has_the_biased_distance(text):
    row = cells(section(text, "Goal: as the successor's script does"), "world model", "10")
    assert row[2].startswith("24.25 ")
    assert row[4:] == [ABSENT, ABSENT, "267.5"]


def test_code_accuracy_is_that_of_the_models(text):
    block = section(text, "Goal: codes, with everything before them true")
    assert cells(block, "world model")[1:] == ["6", "50.00 (50.00 to 50.00)"]
    assert "copy" not in block


def test_one_clip_has_no_interval_and_no_distance(project):
    write_clips(project / "videos" / "goal", num_clips=1)
    folder = write_reports(project)
    text = (folder / "table4.md").read_text()
    short = section(text, "Goal: 10 frames")
    assert cells(short, "world model")[5] == "19.01 (one clip: no interval)"
    assert cells(short[short.index(SUBSTITUTE) :], "world model")[1:3] == ["no distance", "no interval"]
    assert (
        cells(section(text, "Goal: does it beat copying?"), "world model", "10", "PSNR, dB")[6]
        == "one clip: no interval"
    )
    assert "one clip: no interval" in (folder / "README.md").read_text()


def test_a_suite_without_scores_says_what_to_run(project):
    (project / "report.yaml").write_text(report_params("[goal, spatial]"))
    folder = write_reports(project)
    for name in ("table4.md", "figure5.md", "README.md"):
        assert "missing: run `dvc repro video_metrics@spatial`" in (folder / name).read_text()
    assert cells(section((folder / "table4.md").read_text(), "Spatial: 10 frames"), "world model")[1] == "250.0"


def test_without_models_to_generate_table4_is_not_run(project):
    shutil.rmtree(project / "videos")
    (project / "report.yaml").write_text(report_params().replace("generate: true", "generate: false"))
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "world model")[5] == "not run"
    assert "missing" not in text


def test_one_horizon_stands_beside_the_papers_of_the_same_length(project):
    write_clips(project / "videos" / "goal", horizons=(50,))
    (project / "report.yaml").write_text(report_params(horizons="[50]"))
    assert cells(section(page(project), "Goal: 50 frames"), "world model")[1] == "718.6"


def test_another_model_that_predicts_clips_has_its_rows(project):
    params = report_params().replace("action_chunk: {", "other: {").replace("generate: false", "generate: true", 2)
    (project / "report.yaml").write_text(params)
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "`other`")[5] == "missing: run `dvc repro generate@other-goal-1`"
    change_clips(project, lambda row: row | {"source": "other-1" if row["source"] == "world-1" else row["source"]})
    models = project / "videos" / "goal" / "models.json"
    models.write_text(models.read_text().replace('"world-1"', '"other-1"'))
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "`other`")[5].startswith("19.25 ")
    assert cells(section(text, "Goal: does it beat copying?"), "`other`", "10")[-1] == "beats copying"
    against = section(text, "Goal: action world model against world model")
    assert cells(against, "10", "PSNR, dB")[4] == "no clip in common"


def test_a_clip_without_a_finite_score_gives_a_cell(project):
    change_clips(project, lambda row: row | {"psnr": math.nan if row["demo"] == "demo_1" else row["psnr"]})
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "world model")[5] == "not a number in 1 of 6 scores"
    copying = section(text, "Goal: does it beat copying?")
    assert cells(copying, "world model", "10", "PSNR, dB")[6] == "not a number in 2 of 12 scores"
    change_clips(project, lambda row: row | {"psnr": math.nan})
    assert "not a number in 6 of 6 scores" in page(project)  # and a chart without bars


def change_clips(project: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = project / "videos" / "goal" / "clips.parquet"
    rows = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([change(row) for row in rows.to_pylist()], rows.schema), path)


def test_provenance_names_the_stage_and_what_went_in(text):
    block = section(text, "Where the numbers come from")
    assert "- `dvc repro video_metrics@goal`" in block
    assert "generated/world-1 `gggggggggggg`" in block
    assert "scoring 43 s, on Abacus, 2 cores" in block
    assert "training 43 s, generation unknown time" in block


def test_scores_that_are_no_numbers_give_a_cell():
    first, second = {("a", "0"): 1.0, ("a", "1"): math.nan}, {("a", "0"): 1.0, ("a", "1"): 2.0}
    assert scores.cell(first, 0) == "not a number in 1 of 2 scores"
    assert scores.mean(first) is None
    assert scores.interval(first, 0) is None
    assert scores.compare(first, second, 0) == "not a number in 1 of 4 scores"
    assert scores.compare(first, {("b", "0"): 1.0}, 0) == "no clip in common"
    assert scores.cell({}, 0) == ""


def test_differences_are_over_the_clips_that_both_have():
    first = {("a", str(clip)): float(clip) for clip in range(4)}
    second = {("a", str(clip)): float(clip) - 1 for clip in range(1, 6)}
    result = scores.compare(first, second, 0)
    assert not isinstance(result, str)
    assert (result.num_clips, result.difference) == (3, 1.0)
    assert verdict(result, PSNR) == "higher: better"
    assert verdict(result, LPIPS) == "higher: worse"
