"""The earlier runs of this repository beside the present one."""

import pytest
import yaml
from reporting_inputs import cells, make_project, write_reports

from worldvla.reporting.contents import RATES, variants
from worldvla.reporting.pages.history import RUNS

HEADING = "## Other runs of these rows"


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_a_row_reads_across_the_runs_and_ends_with_this_report(project):
    text = (write_reports(project) / "table3.md").read_text().split(HEADING)[1]
    assert cells(text, "Goal")[1:] == [*[run["reports"] for run in RUNS], "this report"]
    assert cells(text, "row 1")[-1] == "8/20 = 40.0 %"
    counts = [run["successes"]["goal"].get("action_world", "") for run in RUNS]
    assert [cell.split(" = ")[0] for cell in cells(text, "row 2")[1:-1]] == counts
    assert cells(text, "steps")[1:] == [*[str(run["steps"]) for run in RUNS], "100"]
    assert cells(text, "pixels")[1:] == [*[str(run["pixels"]) for run in RUNS], "64"]
    assert cells(text, "batch")[1:] == [*[str(run["batch"]) for run in RUNS], "16"]
    assert cells(text, "optimizer")[-1] == "Muon"
    assert cells(text, "seed")[-1] == "0"
    assert cells(text, "machine")[-1] == "Abacus, 2 cores"
    assert cells(text, "code")[-1] == "abc123"
    assert cells(text, "row 1, longer")[-4:] == ["162/300 = 54.0 %", "254/300 = 84.7 %", "249/300 = 83.0 %", ""]


def test_a_run_of_table_2_stands_by_the_size_of_its_images_whatever_its_variants_were_called(project):
    text = (write_reports(project) / "table2.md").read_text().split(HEADING)[1]
    for key in ("smaller", "larger"):
        earlier = [run["successes"]["goal"].get(key) for run in RUNS]
        assert [cell.split(" = ")[0] for cell in cells(text, f"row {key}")[1:-1]] == [one for one in earlier if one]


def test_the_sentence_says_how_far_a_row_moves(project, monkeypatch):
    before = [
        {**RUNS[0], "successes": {"goal": {"action": "10/20", "action_chunk": "6/20"}}},
        {**RUNS[0], "successes": {"goal": {"action": "14/20"}}},
        {**RUNS[0], "successes": {"goal": {"action": "39/40"}}},
        {**RUNS[0], "scale": "paper", "successes": {"goal": {"action": "20/20"}}},
    ]
    monkeypatch.setattr("worldvla.reporting.pages.history.RUNS", before)
    text = (write_reports(project) / "table3.md").read_text().split(HEADING)[1]
    # 40 % in this report; a run of another scale, or with more initial states, stands in the table and not in the sentence.
    # Row 3: 20 % and 30 %.
    assert cells(text, "scale")[1:] == ["mini", "mini", "mini", "paper", "mini"]
    assert "| row 1, longer" not in text  # no run has it
    assert text.endswith(
        "At scale `mini`, on as many initial states, a row's rates lie 20.0 points apart in the mean over the rows, and 30.0 at most "
        "(row 1: 40.0 to 70.0 %).\n"
    )


def test_variants_of_a_run_may_have_been_trained_a_different_number_of_times(project, monkeypatch):
    counts = {"action": "60/60", "action_chunk": "5/20"}
    before = [{**RUNS[0], "trainings": 1, "trainings_of": {"action": 3}, "successes": {"goal": counts}}]
    monkeypatch.setattr("worldvla.reporting.pages.history.RUNS", before)
    reports = write_reports(project)
    text = (reports / "table3.md").read_text().split(HEADING)[1]
    assert cells(text, "trainings")[1:] == ["1, 3", "1"]
    # Row 1: 60 of 3 x 20, and 40 % here; row 3: 5 of 20, and 30 %. Both from 20 initial states.
    assert "32.5 points apart in the mean over the rows, and 60.0 at most (row 1: 40.0 to 100.0 %)" in text
    assert cells((reports / "table6.md").read_text().split(HEADING)[1], "trainings")[1:] == ["3", "1"]


def test_a_page_without_earlier_runs_has_no_such_table(project, monkeypatch):
    entry = "{rows: [{key: one, label: one, variant: new}], comparisons: [], title: t, contents: c, about: a}"
    monkeypatch.setitem(RATES, "table9", yaml.safe_load(entry))
    assert HEADING not in (write_reports(project) / "table9.md").read_text()


def test_every_earlier_run_is_of_variants_that_there_are():
    known = {name for page in RATES for name in variants(page)} | {"larger", "smaller"}
    for run in RUNS:
        for by_variant in run["successes"].values():
            assert by_variant.keys() <= known
            assert all(0 <= int(k) <= int(n) for k, n in (count.split("/") for count in by_variant.values()))
