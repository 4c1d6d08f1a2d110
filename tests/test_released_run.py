"""``./run released`` to its end, with a stand-in of the paper's repository on this machine's hub and LIBERO's own tasks.

A minute and a half of two cores: two queries of one episode at 256 px, and as many at 512.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import REVISION, serve
from libero_marks import LIBERO
from released_files import REPOSITORY, TOKENIZERS, known_hashes, read_files, write_checkpoint, write_tokenizers
from reporting_inputs import cells, section

from benchmarks.project_copy import Project
from worldvla.simulation.libero_assets import find_assets

pytestmark = [*LIBERO, pytest.mark.slow, pytest.mark.timeout(1800)]

RUNS = ["released_256-goal", "released_512-goal"]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def give_environment(project: Project) -> None:
    """Let ``./run`` find this Python's packages as those that it has installed into the copy."""
    venv = project.folder / ".venv"
    venv.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name not in ("made_in", "installed"):
            (venv / path.name).symlink_to(path)
    (venv / "made_in").write_text(f"{project.folder}\n")
    content = f"{project.folder}\n".encode()
    content += b"".join(
        (project.folder / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "no-deps.txt")
    )
    (venv / "installed").write_text(f"{hashlib.sha256(content).hexdigest()}  -\n")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Return a project in which the command has run, and what it printed."""
    folder = tmp_path_factory.mktemp("released")
    for pixels in (256, 512):
        write_checkpoint(folder / f"release/model_{pixels}/libero_goal", seed=pixels)
    write_tokenizers(folder / "release" / TOKENIZERS)
    files = read_files(folder / "release")
    project = Project(folder)
    give_environment(project)
    table = project.folder / "worldvla/data/hub/repositories.yaml"
    entries = yaml.safe_load(table.read_text())
    entries["released"]["listed"] = known_hashes(files)
    table.write_text(yaml.safe_dump(entries))
    conf = project.folder / "conf/paper.yaml"
    edit(conf, "init_states_per_task: 50", "init_states_per_task: 1")
    edit(conf, "environments: 10", "environments: 1")
    edit(conf, "films_per_task: 3", "films_per_task: 1")
    edit(project.folder / "params.yaml", "tasks: {}", "tasks: {goal: [7]}")
    edit(conf, "horizons: [10, 50]", "horizons: [10]")  # of clips, which are no longer than an episode
    # Two queries per episode, of one frame and of two.
    edit(
        project.folder / "worldvla/params/benchmarks.py",
        'SuiteEntry(300, "libero_goal")',
        'SuiteEntry(10, "libero_goal")',
    )
    project.commit()
    with serve(files, REPOSITORY, "model") as hub:
        project.env |= {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "0"}
        project.env |= {"LIBERO_ASSETS": str(find_assets())}
        printed = project.run("./run", "released", "goal")
        yield project, printed, hub


def test_only_what_the_papers_weights_need_has_run(released):
    project, printed, _ = released
    stages = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    assert set(stages) == {
        "stage_code",
        "resolve",
        "report",
        *[f"released_tokenizer@{name}" for name in ("released_256", "released_512")],
        *[f"{stage}@{run}" for stage in ("released_model", "rollout_released") for run in RUNS],
    }
    assert "parallel: of 9 stages 9 ran" in printed
    assert "Next: released_model" in printed
    assert "Next: rollout_released" in printed


def test_params_are_set_and_their_comments_kept(released):
    project, _, _ = released
    text = (project.folder / "params.yaml").read_text()
    params = yaml.safe_load(text)
    assert {name: params[name] for name in ("scale", "benchmark", "looks", "suites", "released")} == {
        "scale": "paper",
        "benchmark": "libero",
        "looks": "published",
        "suites": ["goal"],
        "released": ["released_256", "released_512"],
    }
    assert text.startswith("# What a person edits.")


def test_weights_are_links_into_the_hubs_cache_and_not_in_dvcs(released):
    project, _, _ = released
    (cached,) = (project.folder.parent / "cache").glob("models--*")
    for run in RUNS:
        shards = list((project.folder / "data/models" / run).glob("*.safetensors"))
        assert len(shards) == 2
        store = cached / "snapshots" / REVISION / f"model_{run[9:12]}" / "libero_goal"
        assert all(shard.samefile(store / shard.name) for shard in shards)
        sizes = {path.stat().st_size for path in (project.folder / ".dvc/cache").rglob("*") if path.is_file()}
        assert not sizes & {shard.stat().st_size for shard in shards}


def test_episodes_ran_to_their_end_and_know_their_weights(released):
    project, _, _ = released
    for run in RUNS:
        folder = project.folder / "data/rollouts" / run
        (row,) = pq.read_table(folder / "episodes.parquet").to_pylist()
        assert (row["task"], row["num_steps"], row["policy_failures"]) == ("turn_on_the_stove", 10, 0)
        made_of = json.loads((folder / "made_of.json").read_text())
        assert made_of["released"] == f"{REPOSITORY}, model_{run[9:12]}/libero_goal, commit {REVISION}"


def test_table2_shows_them_alone_and_says_why_they_are_not_comparable(released):
    project, _, _ = released
    text = (project.folder / "reports/table2.md").read_text()
    row = cells(section(text, "Goal suite"), "released_512")
    assert row[1:4] == ["the paper's weights, 512 px", "83.4 %", "0/1 = 0.0 %"]
    assert "; not comparable: some of the tasks, fewer initial states" in row[-1]
    assert "| smaller" not in text
    assert (
        cells(section(text, "Goal: the paper's weights, task by task"), "released_256", "turn on the stove")[2]
        == "0/1 = 0.0 %"
    )
    assert REVISION in text
    assert "mujoco 3.3.2" in text
    assert (project.folder / "reports/README.md").is_file()


def test_a_second_time_nothing_is_done_or_fetched(released):
    project, _, hub = released
    asked = hub.num_requests
    assert "parallel: of 9 stages 0 ran, 9 were up to date" in project.run("./run", "released", "goal")
    assert hub.num_requests == asked


def test_git_sees_only_params_reports_and_the_lock(released):
    project, _, _ = released
    changed = subprocess.check_output(["git", "status", "--short"], cwd=project.folder, text=True).split()
    assert [name for name in changed if name not in ("??", "M")] == ["params.yaml", "dvc.lock", "reports/"]
