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

ABSENT = "not computed: weights absent"
QUESTIONS = "Goal: does the model use the action, and does it beat copying?"
AGAINST = "Goal: action world model against world model"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    return (write_reports(make_project(tmp_path_factory.mktemp("project"))) / "table4.md").read_text()


def page(project: Path) -> str:
    return (write_reports(project) / "table4.md").read_text()


def change_clips(project: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = project / "videos" / "goal" / "clips.parquet"
    rows = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([change(row) for row in rows.to_pylist()], rows.schema), path)


def test_scores_stand_beside_the_papers(text):
    short = section(text, "Goal: 10 frames")
    row = cells(short, "world model")
    assert row[:5] == ["world model", "250.0", "29.62", "90.73", "11.97"]
    assert re.fullmatch(r"19\.25 \(19\.\d\d to 19\.\d\d\)", row[5])
    assert row[6:] == ["50.00 (50.00 to 50.00)", ABSENT, ABSENT]
    assert cells(short, "copy of the given frame")[1:5] == [""] * 4
    assert cells(short, "tokenizer's reconstruction (ceiling)")[5].startswith("29.25 ")
    assert cells(section(text, "Goal: 20 frames, beside the paper's 50"), "action world model")[1] == "674.1"


def test_distances_of_random_features_are_folded_away_and_no_paper_number_stands_beside_one(text):
    unfolded = re.sub("<details>.*?</details>", "", text, flags=re.DOTALL)
    assert SUBSTITUTE in text
    assert SUBSTITUTE not in unfolded
    assert "plumbing check, not evidence of motion quality" in text
    row = cells(text[text.index(f"| {SUBSTITUTE}") - 200 :], "world model", "10")
    assert row[2:6] == ["301.5", "44.5", "6", "267.5"]
    assert row[6].startswith("24.25 ")  # with the given frame
    assert cells(section(text, AGAINST), "10", "FVD")[2] == ABSENT


def test_with_all_weights_fvd_and_lpips_stand_in_their_columns(project):
    write_clips(project / "videos" / "goal", extractor="FVD", lpips=True)
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "world model")[7:] == ["20.00 (20.00 to 20.00)", "301.5"]
    assert "plumbing" not in text
    assert "not computed" not in text
    against = section(text, AGAINST)
    assert cells(against, "20", "FVD")[3:] == ["-1.0", "no interval", "no interval", "-44.50"]
    assert cells(against, "10", "LPIPS x100")[3] == "-1.0"


def test_a_model_that_ignores_the_action_is_told_from_one_that_uses_it(text):
    block = section(text, QUESTIONS)
    assert cells(block, "world model", "10", "PSNR, dB")[3:] == [
        "+0.00 (+0.00 to +0.00): open",
        "+2.00 (+1.99 to +2.01): better",
    ]
    assert cells(block, "action world model", "20", "PSNR, dB")[3] == "+2.00 (+2.00 to +2.00): better"
    assert cells(block, "action world model", "20", "SSIM x100")[4].endswith(": better")


def test_one_training_of_each_model_has_no_verdict(project):
    (project / "report.yaml").write_text(report_params(least=3))
    row = cells(section(page(project), AGAINST), "20", "PSNR, dB")
    assert row[2:5] == ["too few trainings: 1 training per arm; expected 3", "+1.00 dB", "no interval"]
    assert row[-1] == "+0.32"


def test_one_clip_has_no_interval_and_no_distance(project):
    write_clips(project / "videos" / "goal", num_clips=1)
    folder = write_reports(project)
    text = (folder / "table4.md").read_text()
    assert cells(section(text, "Goal: 10 frames"), "world model")[5] == "19.01 (one clip: no interval)"
    assert "no distance" in text
    assert "one clip: no interval" in cells(section(text, QUESTIONS), "world model", "10", "PSNR, dB")[4]
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
    assert (
        cells(section(page(project), "Goal: 10 frames"), "`other`")[5]
        == "missing: run `dvc repro generate@other-goal-1`"
    )
    change_clips(project, lambda row: row | {"source": "other-1" if row["source"] == "world-1" else row["source"]})
    models = project / "videos" / "goal" / "models.json"
    models.write_text(models.read_text().replace('"world-1"', '"other-1"'))
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "`other`")[5].startswith("19.25 ")
    assert cells(section(text, QUESTIONS), "`other`", "10")[4].endswith(": better")
    assert cells(section(text, AGAINST), "10", "PSNR, dB")[2] == "missing: run `dvc repro generate@world-goal-1`"


def test_a_clip_without_a_finite_score_gives_a_cell(project):
    change_clips(project, lambda row: row | {"psnr": math.nan if row["demo"] == "demo_1" else row["psnr"]})
    text = page(project)
    assert cells(section(text, "Goal: 10 frames"), "world model")[5] == "not a number in 1 of 6 scores"
    assert cells(section(text, AGAINST), "10", "PSNR, dB")[2] == "not a number in 2 of 12 scores"
    change_clips(project, lambda row: row | {"psnr": math.nan})
    assert "not a number in 6 of 6 scores" in page(project)  # and a chart without lines
