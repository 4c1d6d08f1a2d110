import itertools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import report
from worldvla.reporting.markdown import table
from worldvla.reporting.table3 import published
from worldvla.simulation.videos import video_name, write_video

PARAMS = """report:
  scale: mini
  seed: 0
  benchmark: mini
  demonstrations: scripted
  suites: [goal]
  variants:
    action: {mask: causal, chunked: false, history: 2, chunk: {goal: 1, spatial: 1, long: 1}}
    action_chunk: {mask: causal, chunked: true, history: 2, chunk: {goal: 5, spatial: 5, long: 10}}
    action_chunk_mask: {mask: action, chunked: true, history: 2, chunk: {goal: 5, spatial: 5, long: 10}}
"""
TASKS = ["put_the_can_in_the_basket", "put_the_can_in_the_tray"]
SHARES = {"action": 0.4, "action_chunk": 0.2, "action_chunk_mask": 0.7}


def write_rollouts(folder: Path, variant: str) -> None:
    """Ten initial states of two tasks; the first ones succeed."""
    rows = [
        {
            "suite": "goal",
            "task": task,
            "task_index": index,
            "init_state": init,
            "success": init < 10 * SHARES[variant],
            "num_steps": 20,
            "policy_failures": int(variant == "action_chunk" and init == 9),
        }
        for index, task in enumerate(TASKS)
        for init in range(10)
    ]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "episodes.parquet")
    made_of = {kind: kind[0] * 64 for kind in ("params", "data", "tokenizer", "weights", "model")}
    (folder / "made_of.json").write_text(json.dumps(made_of))
    frames = np.stack([np.full((64, 64, 3), 10 * step, np.uint8) for step in range(21)])
    for success in (True, False):
        init = 0 if success else int(10 * SHARES[variant])
        write_video(folder / video_name(0, init, success), frames)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return write_reports(make_project(tmp_path_factory.mktemp("project")))


def make_project(tmp_path: Path) -> Path:
    (tmp_path / "report.yaml").write_text(PARAMS)
    for variant in SHARES:
        write_rollouts(tmp_path / "rollouts" / f"{variant}-goal", variant)
    timing = tmp_path / "timing" / "rollout" / "action-goal.json"
    timing.parent.mkdir(parents=True)
    timing.write_text(
        json.dumps({"seconds": 43.2, "commit": "abc123", "date": "2025-01-01 00:00 UTC", "hardware": "Abacus, 2 cores"})
    )
    return tmp_path


def write_reports(project: Path, out: str = "reports") -> Path:
    report.main(
        params=project / "report.yaml",
        rollouts=project / "rollouts",
        timing=project / "timing",
        out=project / out,
    )
    return project / out


def row(text: str, *starts: str) -> list[str]:
    """Return the cells of the first table row that begins with these cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if tuple(cells[: len(starts)]) == starts:
            return cells
    raise AssertionError(f"no row {starts} in\n{text}")


def test_table3_shows_the_papers_number_ours_and_the_interval(reports):
    text = (reports / "table3.md").read_text()
    assert row(text, "1", "action model") == [
        "1",
        "action model",
        "67.3 %",
        "8/20",
        "40.0 %",
        "21.9 to 61.3 %",
        "not comparable: other benchmark, other model",
    ]
    assert row(text, "2")[3] == "not run"
    assert row(text, "4")[2:5] == ["84.4 %", "14/20", "70.0 %"]
    assert "row 3: 2." in text  # policy failures


def test_rows_are_compared_on_the_same_initial_states(reports):
    text = (reports / "table3.md").read_text()
    cells = row(text, "4 against 3")
    assert cells[1:7] == ["20", "4", "10", "0", "6", "+50.0 points"]
    assert cells[-2:] == ["0.002", "row 4 is higher"]
    assert row(text, "put the can in the tray")[1:] == ["4/10", "2/10", "7/10"]


def test_provenance_leads_back_from_the_number(reports):
    text = (reports / "table3.md").read_text()
    block = text[text.index("- `dvc repro rollout@action-goal`") :]
    assert "params `pppppppppppp`, data `dddddddddddd`, tokenizer `tttttttttttt`, weights `wwwwwwwwwwww`" in block
    assert "commit abc123, 2025-01-01 00:00 UTC" in block
    assert "training unknown time, rollouts 43 s, on Abacus, 2 cores" in block
    assert "commit unknown" in block  # the runs without a timing file


def test_a_run_without_data_says_what_to_run(project):
    (project / "rollouts" / "action_chunk-goal" / "episodes.parquet").unlink()
    folder = write_reports(project)
    for name in ("table3.md", "README.md"):
        assert "missing: run `dvc repro rollout@action_chunk-goal`" in (folder / name).read_text()


def test_without_any_run_there_is_still_a_report(project):
    for path in project.glob("rollouts/*/episodes.parquet"):
        path.unlink()
    folder = write_reports(project)
    assert "No run has data yet." in (folder / "table3.md").read_text()
    assert not (folder / "table3.png").exists()


def test_suites_stand_in_the_papers_order(project):
    (project / "report.yaml").write_text(PARAMS.replace("[goal]", "[long, spatial, goal]"))
    text = (write_reports(project) / "table3.md").read_text()
    assert re.findall(r"^## (\w+) suite", text, re.MULTILINE) == ["Goal", "Spatial", "Long"]
    assert re.findall(r"Chunks of (\w+) actions", text) == ["5", "5", "10"]


def test_pages_are_linked_and_every_picture_exists(reports):
    pages = {path.name: path.read_text() for path in reports.glob("*.md")}
    links = {link for text in pages.values() for link in re.findall(r"\]\(([^)]+)\)", text)}
    assert links == {path.name for path in reports.iterdir()} - {"README.md"}
    assert "scale `mini`" in pages["README.md"].splitlines()[0]


def test_pages_are_tidy_markdown(reports):
    for path in reports.glob("*.md"):
        text = path.read_text()
        lines = text.split("\n")
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert all(line == line.rstrip() for line in lines), path
        assert "\n\n\n" not in text
        for before, line in itertools.pairwise(lines):
            kinds = {before.startswith("|"), line.startswith("|")}
            assert kinds != {True, False} or "" in (before, line), (path, before, line)


def test_the_same_runs_give_the_same_bytes(reports, project):
    again = write_reports(project)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in reports.iterdir()
    }


def test_tables_align():
    assert table(["Name", "k"], [["a", "10"], ["b|c", "9"]], right=["k"]) == (
        "| Name |   k |\n| ---- | --: |\n| a    |  10 |\n| b\\|c |   9 |"
    )


def test_published_averages_of_table3_are_the_means_of_their_suites():
    for numbers in published().values():
        mean = sum(numbers[suite] for suite in ("goal", "object", "spatial", "long")) / 4
        assert abs(mean - numbers["average"]) < 0.1
