"""The page of the trainings, and the numbers that ``dvc plots`` draws."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from reporting_inputs import cells, make_project, write_reports

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return the reports of two trainings out of many, one of them without held-out episodes."""
    return write_reports(make_project(tmp_path_factory.mktemp("training")))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_training_has_a_row_or_says_how_to_get_one(reports):
    text = (reports / "training.md").read_text()
    assert cells(text, "action") == [
        "action",
        "[1](runs.md#action-goal-1)",
        "action",
        "100",
        "0.010",
        "0.005",
        "unknown time",
    ]
    assert cells(text, "all_data") == [
        "all_data",
        "[1](runs.md#all_data-goal-1)",
        "action",
        "90",
        "0.011",
        "",
        "unknown time",
    ]
    assert "missing: run `dvc repro train@world-goal-1`" in cells(text, "world")[4]
    assert "missing: run `dvc repro finetune@action_from_world-goal-1`" in cells(text, "action_from_world")[4]
    assert "missing: run `dvc repro train_other_pixels@all_data_other-goal-1`" in cells(text, "all_data_other")[4]
    assert (reports / "training-goal.png").is_file()


def test_a_curve_is_the_mean_of_equal_stretches_of_steps(reports):
    rows = [
        row for row in read(reports / "training_loss.csv") if (row["model"], row["training"]) == ("action-goal", "1")
    ]
    assert [int(row["step"]) for row in rows] == [*range(3, 100, 3), 100]
    assert float(rows[0]["loss"]) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3, abs=1e-4)
    assert rows[-1]["loss"] == "0.0100"
    assert [tuple(row.values()) for row in read(reports / "validation_loss.csv")] == [
        ("action-goal", "1", "50", "0.0100"),
        ("action-goal", "1", "100", "0.0050"),
    ]


def test_every_tokenizer_has_a_row_or_says_how_to_get_one(reports):
    text = (reports / "training.md").read_text()
    assert cells(text, "goal", "64 px") == ["goal", "64 px", "23.1 dB", "22.9 dB", "512", "400"]
    assert "missing: run `dvc repro tokenizer@goal-other`" in cells(text, "goal", "32 px")[2]
    assert (reports / "tokenizer-goal-64px.png").is_file()


def test_dvc_draws_a_panel_per_model_with_a_line_per_training(reports, tmp_path):
    """The plots of dvc.yaml and their template, on the report's own numbers."""
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "plots").symlink_to(REPOSITORY / ".dvc" / "plots")
    (project / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (project / "reports").symlink_to(reports)
    plots = (REPOSITORY / "dvc.yaml").read_text().split("\nplots:\n")[1]
    (project / "dvc.yaml").write_text(f"plots:\n{plots}")
    command = [sys.executable, "-m", "dvc", "plots", "show", "--json"]
    shown = json.loads(subprocess.check_output(command, cwd=project, text=True))
    assert not shown.get("errors")
    assert set(shown["data"]) == {"training loss", "validation loss"}
    (drawn,) = shown["data"]["training loss"]
    spec = json.loads(drawn["content"]) if isinstance(drawn["content"], str) else drawn["content"]
    assert spec["facet"]["field"] == "model"
    assert spec["spec"]["encoding"]["strokeDash"]["field"] == "training"
    assert spec["spec"]["encoding"]["y"]["field"] == "loss"
