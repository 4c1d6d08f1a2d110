"""The stage rollout on fake simulators: what it writes, after failures and interruptions and by any number of workers."""

import contextlib
import functools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from test_rollout import MAX_STEPS, FakePolicy, FakeSimulator

import worldvla
from pipeline import rollout
from worldvla.files import folder_digest
from worldvla.running.cores import STAGE_CORES
from worldvla.simulation import libero
from worldvla.simulation.outcomes import EPISODES
from worldvla.simulation.videos import read_video
from worldvla.stage_code import code_digest

SECTION = {
    **{
        "benchmark": "mini",
        "suite": "goal",
        "tasks": [0, 1, 2],
        "looks": "simple",
        "chunk": 5,
        "history": 2,
        "seed": 0,
    },
    **{"mask": "causal", "no_bin": "fail", "pixels": 16, "init_states_per_task": 4, "environments": 5, "graphs": False},
    **{"max_steps": MAX_STEPS, "films_per_task": 2},
}


@pytest.fixture
def stage_in_workers(tmp_path, monkeypatch):
    """Return what runs the stage on fake simulators: three tasks of four episodes, five of which share a batch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STAGE_CORES, "1")
    for name in ("model", "tokenizer"):
        (tmp_path / name).mkdir()
    (tmp_path / "model/README.md").write_text("| shards sha256 | 4f0c |")
    monkeypatch.setattr(libero, "init_states", lambda task: [np.array([number + 0.2]) for number in range(50)])

    def run_stage(out: str, policy: FakePolicy | None = None, trouble: Path | None = None, **changes) -> Path:
        loaded = SimpleNamespace(load=lambda *_: policy or FakePolicy())
        monkeypatch.setattr("worldvla.model.policy.ChameleonPolicy", loaded)
        monkeypatch.setattr(libero, "Environment", functools.partial(FakeSimulator, trouble=trouble))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"rollout": SECTION | changes}))
        paths = {name: tmp_path / name for name in ("model", "tokenizer")}
        rollout.main(
            params=tmp_path / "params.yaml", **paths, out=tmp_path / out, timing=tmp_path / f"timing-{out}.json"
        )
        return tmp_path / out

    return run_stage


@pytest.fixture
def stage(stage_in_workers, units_here):
    """Return the same without workers."""
    return stage_in_workers


def test_the_stage_writes_a_row_per_episode_and_the_films(stage, capsys):
    out = stage("out")
    found = pq.read_table(out / "episodes.parquet")
    assert found.schema == EPISODES
    episode_rows = found.to_pylist()
    assert [(row["task_index"], row["init_state"]) for row in episode_rows] == [
        (task, number) for task in range(3) for number in range(4)
    ]
    filmed = {
        f"{'success' if row['success'] else 'failure'}-task{row['task_index']}-init{row['init_state']}.mp4": row
        for row in episode_rows
        if row["init_state"] < 2
    }
    assert {path.name for path in out.iterdir()} == {*filmed, "episodes.parquet", "made_of.json"}
    made_of = json.loads((out / "made_of.json").read_text())
    assert (made_of["data"], made_of["recipe"], made_of["trained_by"]) == ("4f0c", "unknown", "unknown")
    assert made_of["code"] == code_digest("rollout")
    for name, row in filmed.items():
        assert len(read_video(out / name)) == row["num_steps"] + 1
    successes = sum(row["success"] for row in episode_rows)
    printed = capsys.readouterr().out
    assert f"{successes:4d}/12 " in printed
    assert "%  all tasks" in printed
    assert "12 episodes in" in printed
    assert "6 videos" in printed
    assert not list(Path("work/rollout").iterdir())


def test_outputs_have_the_same_bytes_every_time_and_with_more_cores(stage, monkeypatch):
    digest = folder_digest(stage("first"))
    assert folder_digest(stage("second")) == digest
    monkeypatch.setenv(STAGE_CORES, "2")  # simulators in processes of their own
    assert folder_digest(stage("third")) == digest


@contextlib.contextmanager
def fakes(load, settings, model, tokenizer):
    """Yield what runs a batch of episodes of the fake policy in fake simulators; in a worker."""
    loaded = SimpleNamespace(load=lambda *_: FakePolicy())
    with (
        mock.patch("worldvla.model.policy.ChameleonPolicy", loaded),
        mock.patch.object(libero, "Environment", FakeSimulator),
        rollout.policy_in_simulators(load, settings, model, tokenizer) as work,
    ):
        yield work


@pytest.mark.slow
def test_outputs_have_the_same_bytes_with_any_number_of_workers(stage_in_workers, monkeypatch):
    monkeypatch.setattr(rollout, "policy_in_simulators", fakes)
    # Workers find this module, and the same code as is tested here.
    paths = [str(Path(worldvla.__file__).parent.parent), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    digests = []
    for number, machine in enumerate(
        ("workers: 1", "{workers: 3, cores_per_worker: 1}", "{workers: 1, cores_per_worker: 3}")
    ):
        Path("machine.yaml").write_text(machine)
        digests.append(folder_digest(stage_in_workers(f"out-{number}")))
    assert len(set(digests)) == 1


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(stage):
    alone = FakePolicy()
    whole = stage("whole", alone)
    first = FakePolicy(interrupt_at=len(alone.batches) - 1)  # in the last of three batches
    with pytest.raises(KeyboardInterrupt):
        stage("out", first)
    assert not Path("out").exists()
    second = FakePolicy()
    assert folder_digest(stage("out", second)) == folder_digest(whole)
    assert second.chunks == alone.chunks[-len(second.chunks) :]
    begun = [number for number, lengths in enumerate(alone.batches) if max(lengths) == 1]
    assert len(begun) == 3
    assert len(second.batches) == len(alone.batches) - begun[-1], "the last batch is run anew, and nothing else"


def test_without_films_the_episodes_are_the_same(stage):
    with_films, without = stage("with"), stage("without", films_per_task=0)
    assert not list(without.glob("*.mp4"))
    name = "episodes.parquet"
    assert (with_films / name).read_bytes() == (without / name).read_bytes()


def test_a_simulator_that_fails_for_good_fails_the_stage(stage, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.write_text("always")
    words = (
        "'000005' failed 2 times: RuntimeError: task '.*', init state 2: the simulator failed twice: RuntimeError: th"
    )
    with pytest.raises(ValueError, match=words):
        stage("out", trouble=trouble)
    assert not Path("out").exists()
    trouble.write_text("over")
    assert folder_digest(stage("out", trouble=trouble)) == folder_digest(stage("whole"))


def test_a_model_of_other_chunks_is_refused(stage):
    message = (
        r"model: the model was trained for 5 actions and 2 frames, the params ask for 4 and 2\. Run: \./run reproduce"
    )
    with pytest.raises(ValueError, match=message):
        stage("out", chunk=4)
