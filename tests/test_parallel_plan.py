"""What the runner plans: which stages a page needs, what starts first, how long it takes; toys under a real DVC."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from test_parallel import Toy, stage

from pipeline import parallel
from worldvla import targets

REPOSITORY = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Known:
    """A stage as far as the time left is concerned."""

    def __init__(self, addressing: str, alone: bool = False) -> None:
        self.addressing, self.meta = addressing, {"alone": True} if alone else None
        self.cmd = f"python -m pipeline.{addressing.split('@')[0]}"
        self.outs = [SimpleNamespace(fs_path=f"data/timing/{addressing.replace('@', '/')}.json")]


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({}, "0 of 4 stages done, 0 running, 4 left; elapsed 0:00"),
        ({"train@x": 600}, "0 of 4 stages done, 0 running, 4 left; elapsed 0:00, at least 10:00 to go"),
        (
            {"train@x": 600, "end": 60, "whole": 3600},
            "0 of 4 stages done, 0 running, 4 left; elapsed 0:00, about 1:10:30 to go",
        ),
    ],
)
def test_the_time_left_is_told_as_far_as_it_is_known(known, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seconds in known.items():
        path = tmp_path / "data" / "timing" / f"{name.replace('@', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"seconds": {seconds}}}')
    x, y, end, whole = Known("train@x"), Known("train@y"), Known("end"), Known("whole", alone=True)
    upstream: Any = {x: set(), y: set(), end: {x, y}, whole: set()}
    repo: Any = None
    assert parallel.Runner(repo, upstream, jobs=2).status() == text


def test_what_most_work_waits_for_starts_first(tmp_path):
    stages = {
        "short": stage("short"),
        "long": stage("long"),
        "last": stage("last", deps=("long",)),
        "whole": stage("whole", meta={"alone": True}),
        "beside": stage("beside"),
    }
    toy = Toy(tmp_path, stages)
    code, lines = toy.run("-j", "1")
    assert code == 0, lines
    order = sorted(stages, key=lambda name: float(toy.event(f"{name}.start")))
    assert order[:2] == ["whole", "long"]  # nothing runs at the start, so that nothing has to end for the whole


@pytest.mark.parametrize(
    ("page", "has", "has_not"),
    [
        ("table6", {"finetune@action_from_world-goal-1", "rollout@action-goal-1"}, {"rollout@action_chunk-goal-1"}),
        ("figure5", {"video_metrics@goal", "generate@world-goal-1"}, {"rollout@action-goal-1"}),
        (
            "table5",
            {"speed@goal", "timed@action_h4-goal-1", "rollout_once@action_h1-goal-1"},
            {"train@world-goal-1", "video_metrics@goal"},
        ),
        (
            "planning",
            {"rollout@action_world_chunk_mask-goal-1", "rollout_planned@action_world_chunk_mask-goal-1"},
            {"rollout@action-goal-1"},
        ),
        ("forensics", {"report"}, {"download@goal", "rollout@action-goal-1"}),
        ("released", {"report", "resolve"}, {"download@goal", "filter@goal-main", "rollout_once@all_data-goal-1"}),
    ],
)
def test_a_page_needs_its_own_runs_and_the_report_alone(page, has, has_not):
    stages = targets.plan(Repo(str(REPOSITORY)), [page])
    names = {stage.addressing for stage in stages}
    assert has | {"report"} <= names
    assert not has_not & names
    assert list(stages)[-1].addressing == "report"


def graph_of(
    folder: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[str, set[str], set[str]]]:
    """Return each stage that DVC makes of dvc.yaml under some trainings: what it runs, reads and writes."""
    folder.mkdir()
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    params = (REPOSITORY / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"(?m)^trainings: .*$", f"trainings: {trainings}", params))
    (folder / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    monkeypatch.chdir(folder)
    stages = Repo().index.stages
    return {stage.addressing: (str(stage.cmd), {*map(str, stage.deps)}, {*map(str, stage.outs)}) for stage in stages}


def test_more_trainings_add_their_stages_and_change_no_other(tmp_path, monkeypatch):
    few, more = (graph_of(tmp_path / str(last), [*range(1, last + 1)], monkeypatch) for last in (3, 5))
    assert {name: more[name] for name in few} == few
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    runs = {"train": params["variants"], "finetune": params["finetune"]}
    runs |= {stage: params[stage] for stage in ("rollout", "generate")} | {"rollout_planned": params["planning"]}
    added = {f"{stage}@{name}-goal-{n}" for stage, names in runs.items() for name in names for n in (4, 5)}
    assert set(more) - set(few) == added
    _, reads, writes = more["finetune@action_from_world-goal-4"]
    assert "data/models/world-goal-4" in reads
    assert "data/models/action_from_world-goal-4" in writes
    reads, writes = more["rollout_planned@action_world_chunk_mask-goal-5"][1:]
    assert "data/models/action_world_chunk_mask-goal-5" in reads
    assert "data/rollouts/action_world_chunk_mask_planned-goal-5" in writes
    assert "data/generated/goal/world-5" in more["generate@world-goal-5"][2]
