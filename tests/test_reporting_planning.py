"""The page about looking ahead: its rows, how a chunk is chosen, and what each training gains."""

import pytest
from reporting_inputs import cells, make_project, report_params, section, write_reports, write_rollouts

VARIANT, AHEAD = "action_world_chunk_mask", "action_world_chunk_mask_planned"
GAINS = {1: 1, 2: 2, 3: 3}  # initial states of each task that looking ahead solves beside the first six, by training


@pytest.fixture
def project(tmp_path):
    """Return a project with three trainings of the variant, greedy and looking ahead."""
    folder = make_project(tmp_path)
    (folder / "report.yaml").write_text(report_params(trainings="[1, 2, 3]"))
    for number, gain in GAINS.items():
        for name, count in ((VARIANT, 6), (AHEAD, 6 + gain)):
            solved = {(task, init) for task in range(2) for init in range(count)}
            write_rollouts(folder / "rollouts" / f"{name}-goal-{number}", name, solved=solved)
    return folder


def test_it_has_both_rows_their_difference_and_each_training_by_itself(project):
    text = (write_reports(project) / "planning.md").read_text()
    assert text.startswith("# Planning at scale `mini`: ")
    assert cells(text, "greedy")[3] == "36/60 = 60.0 %"
    assert cells(text, "planned")[3] == "48/60 = 80.0 %"
    assert cells(text, "planned against greedy")[2] == "+20.0 points"
    assert "among 4 chunks" in text
    assert "at temperature 0.3" in text
    pairs = section(text, "Training by training")
    assert cells(pairs, "planned", "goal", "3") == ["planned", "goal", "3", "60.0 %", "90.0 %", "+30.0 points"]
    # Student's t of 10, 20 and 30: a standard error of 10 / sqrt(3), and 4.303 of them to either side.
    last = [cell.strip() for cell in pairs.splitlines()[-1].strip("|").split("|")]
    assert last == ["planned", "goal", "3", "+20.0 points", "-4.8 to +44.8"]


def test_its_runs_are_told_like_all_others(project):
    folder = write_reports(project)
    runs = section((folder / "runs.md").read_text(), f"{AHEAD}-goal-2")
    assert f"`dvc repro rollout_planned@{VARIANT}-goal-2`" in runs
    assert f"\n{AHEAD},goal,2," in (folder / "episodes.csv").read_text()
    assert "- [Planning](planning.md): " in (folder / "README.md").read_text()


def test_what_is_missing_names_its_stage_and_another_simulator_is_refused(project):
    made_of = project / "rollouts" / f"{AHEAD}-goal-1" / "made_of.json"
    for number in GAINS:
        path = project / "rollouts" / f"{AHEAD}-goal-{number}" / "made_of.json"
        path.write_text(path.read_text().replace("mujoco 3.3.2", "mujoco 3.3.1"))
    refused = cells((write_reports(project) / "planning.md").read_text(), "planned against greedy")[1]
    assert refused.startswith(f"refused: {AHEAD}-goal-1 and {VARIANT}-goal-1 differ in the simulator")
    made_of.with_name("episodes.parquet").unlink()
    row = cells((write_reports(project) / "planning.md").read_text(), "planned")
    assert row[3] == f"missing: run `dvc repro rollout_planned@{VARIANT}-goal-1`"


def test_nothing_has_to_look_ahead(project):
    params = report_params(trainings="[1, 2, 3]").replace("planning: {action", "planning: {} #")
    (project / "report.yaml").write_text(params)
    text = (write_reports(project) / "planning.md").read_text()
    assert cells(text, "planned")[3] == "not run"
    assert "How a chunk is chosen" not in text
