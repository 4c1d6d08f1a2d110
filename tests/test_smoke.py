"""The whole pipeline at the scale ``smoke``: once, again, with another chunk, and stage by stage with equal bytes.

The first run has stages side by side, all others are DVC's own, one stage after the other: the bytes are the same.
"""

import re
import subprocess

import pytest
import yaml
from outside import evaluated, files, reacting, rolled_out

from benchmarks.project_copy import REPOSITORY, Project
from worldvla.params.trainings import planned_name

PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
SUITE = "goal"
OTHER, ONCE = list(PARAMS["other_pixels"]), list(PARAMS["once"])


def run_of(variant: str, number: int = 1) -> str:
    return f"{variant}-{SUITE}-{number}"


ROLLED_OUT = [run_of(variant) for variant in (*PARAMS["rollout"], *ONCE, *OTHER)]
PLANNED = [run_of(planned_name(variant)) for variant in PARAMS["planning"]]
# Variants whose chunk is that of the experiment, trained several times and once.
CHUNKED, CHUNKED_ONCE = (
    [name for name, variant in PARAMS[group].items() if variant["chunk"] is None] for group in ("variants", "once")
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def stages_run(printed: str) -> set[str]:
    """Return the stages that dvc ran, neither skipped nor taken from its cache."""
    return set(re.findall(r"^Running stage '(.+)':", printed, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project whose pipeline has run to the end once."""
    project = Project(tmp_path_factory.mktemp("smoke"))
    project.set_scale("smoke")
    project.commit()
    project.python("-m", "pipeline.parallel", "--jobs", "2")
    return project


def test_every_output_is_there(project):
    digests = project.digests()
    assert {"data/raw/goal", "data/filtered/goal-main", "data/splits/goal.parquet"} <= set(digests)
    assert {f"data/{kind}/goal-{images}" for kind in ("tokenizer", "shards") for images in PARAMS["images"]} <= set(
        digests
    )
    data = project.folder / "data"
    for run in (*ROLLED_OUT, *PLANNED):
        assert (data / "rollouts" / run / "episodes.parquet").is_file()
        assert (data / "timing" / "rollout" / f"{run}.json").is_file()
    for run in ROLLED_OUT:
        assert (data / "models" / run / "model.safetensors").is_file()
        stage = "finetune" if run.startswith("action_from_world") else "train"
        assert (data / "timing" / stage / f"{run}.json").is_file()
    for variant in PARAMS["generate"]:
        assert (data / "generated" / SUITE / f"{variant}-1" / "true" / "000000.tar").is_file()
    assert (data / "video_metrics" / SUITE / "sets.parquet").is_file()


def test_every_page_of_the_report_is_there_and_has_no_gap_but_absent_weights(project):
    reports = project.folder / "reports"
    pages = {path.stem: path.read_text() for path in reports.glob("*.md")}
    assert set(pages) == {
        "README",
        "claims",
        "forensics",
        "runs",
        "training",
        "table1",
        "table2",
        "table3",
        "table4",
        "table5",
        "table6",
        "figure4",
        "figure5",
        "figure6",
        "figure7",
        "planning",
    }
    for name, text in pages.items():
        assert name in ("README", "claims") or "not run" not in text, name  # claims of tables that are not built yet
        assert "missing" not in text, name
        assert "not measured" not in text, name
        assert all((reports / picture).is_file() for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)), name
    assert "not computed: weights absent" in pages["table4"]
    assert "FD[i3d-random seed0 32px]" in pages["table4"]


def test_a_pretrained_model_depends_on_the_model_that_it_starts_from(project):
    stage = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    stage = stage[f"finetune@{run_of('action_from_world')}"]
    assert f"data/models/{run_of('world')}" in {dep["path"] for dep in stage["deps"]}


def test_nothing_is_left_behind(project):
    left = [path for path in project.folder.rglob("*partial*") if ".dvc" not in path.parts]
    assert not left
    assert not list((project.folder / "work").glob("*/*/finished")), "work goes when DVC has saved its result"
    changed = subprocess.check_output(["git", "status", "--short"], cwd=project.folder, text=True).split()
    assert [name for name in changed if name not in ("??", "M")] == ["dvc.lock", "reports/"]


def test_a_second_run_does_nothing(project):
    printed = project.dvc("repro")
    assert stages_run(printed) == set()
    assert "Data and pipelines are up to date." in printed


def test_a_client_that_steps_the_environment_itself_gets_every_episode_of_the_rollout_stage(project, tmp_path):
    """To the bit: every batch of the stage is full until its episodes end, so a server of such batches computes the same.

    A few steps of training teach a model one answer to everything; with noise on its weights it reacts to what it sees.
    """
    run, data = run_of("action_chunk_mask_h4"), project.folder / "data"
    model, tokenizer = data / "models" / run, data / "tokenizer" / f"{SUITE}-main"
    params = data / "resolved" / f"{run}.yaml"
    batch = yaml.safe_load(params.read_text())["rollout"]["environments"]
    trained = files(data / "rollouts" / run)
    assert evaluated(project, model, tokenizer, params, batch, tmp_path / "trained") == trained
    model = reacting(model, tokenizer, tmp_path / "reacting")
    expected = rolled_out(project, model, tokenizer, params, tmp_path / "rollout")
    assert evaluated(project, model, tokenizer, params, batch, tmp_path / "evaluated") == expected
    films = [name for name in expected if name.endswith(".mp4")]
    assert len(films) == 4
    assert all(expected[name] != trained.get(name) for name in films)


def test_forced_again_every_stage_writes_the_same_bytes(project):
    before = project.digests()
    run = run_of("action_world_chunk_mask")
    stages = [f"{stage}@{SUITE}" for stage in ("download", "video_metrics")]
    stages += [
        f"{stage}@{SUITE}-{images}" for stage in ("filter", "tokenizer", "encode") for images in PARAMS["images"]
    ]
    stages += [
        f"train@{run}",
        f"rollout@{run}",
        f"rollout_planned@{run}",
        f"generate@{run}",
        f"finetune@{run_of('action_from_world')}",
    ]
    project.dvc("repro", "--force", "--single-item", *stages)
    assert project.digests() == before


def test_another_chunk_runs_the_chunked_runs_only_and_the_report_follows(project):
    subprocess.run(["git", "add", "--all"], cwd=project.folder, env=project.env, check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", "run"], cwd=project.folder, env=project.env, check=True)
    before = project.digests()
    printed = project.dvc("exp", "run", "-S", "chunk=10")
    stages = [("train", CHUNKED), ("rollout", set(CHUNKED) & set(PARAMS["rollout"]))]
    stages += [("rollout_planned", set(CHUNKED) & set(PARAMS["planning"]))]
    stages += [("timed", {*CHUNKED, *CHUNKED_ONCE} & set(PARAMS["speed"]))]
    stages += [(f"{stage}_once", CHUNKED_ONCE) for stage in ("train", "rollout")]
    stages += [(f"{stage}_other_pixels", OTHER) for stage in ("train", "rollout")]
    chunked = {f"{stage}@{run_of(variant)}" for stage, variants in stages for variant in variants}
    chunked.add(f"speed@{SUITE}")
    clips = f"generate@{run_of('action_world_chunk_mask')}"
    # Clips are scored anew if they changed, and after a few steps of training a model draws the same whatever its chunk.
    assert stages_run(printed) - {f"video_metrics@{SUITE}"} == {"resolve", "report", *chunked, clips}
    after = project.digests()
    changed = {path for path in after if after[path] != before[path]}
    assert changed >= {f"data/models/{run_of(variant)}" for variant in (*CHUNKED, *CHUNKED_ONCE, *OTHER)} | {
        "data/resolved",
        "reports",
    }
    assert not changed & {
        "data/models/action-goal-1",
        "data/rollouts/action-goal-1",
        "data/shards/goal-main",
        "data/models/world-goal-1",
    }


def test_more_trainings_run_what_is_missing_and_the_page_has_them_all(project):
    before = project.digests()
    printed = project.python("-m", "pipeline.parallel", "--jobs", "2", "-S", "trainings=2", "table6")
    ran = set(re.findall(r"^(\S+) \| done in", printed, flags=re.MULTILINE))
    second = {
        f"{stage}@{run_of(name, 2)}"
        for stage, name in (("train", "action"), ("train", "action_longer"), ("train", "world"))
    }
    second |= {f"finetune@{run_of('action_from_world', 2)}"}
    second |= {f"rollout@{run_of(name, 2)}" for name in ("action", "action_longer", "action_from_world")}
    assert ran == {"resolve", "report", *second}
    after = project.digests()
    assert {path for path in before if after[path] != before[path]} == {"data/resolved", "reports"}
    assert after[f"data/models/{run_of('action', 2)}"] != after[f"data/models/{run_of('action')}"]
    rates = (project.folder / "reports" / "table6.md").read_text()
    assert "missing" not in rates
    assert "refused" not in rates
    assert rates.count("; SD ") >= 3  # each row's spread
    assert f"(runs.md#{run_of('action', 2)})" in rates
    other = (project.folder / "reports" / "table3.md").read_text()
    assert f"missing: run `dvc repro rollout@{run_of('action_chunk', 2)}`" in other
