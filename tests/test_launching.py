"""The stage train in two processes of this machine: it begins, fails and goes on as one."""

import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import yaml
from test_training import ACTIONS, ACTIONS_ALONE, TEXTS, random_episodes

import worldvla
from worldvla.data.shards import write_shards
from worldvla.model.weights import load

REPOSITORY = Path(worldvla.__file__).parent.parent


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with what the stage reads, and a machine of two processes."""
    write_shards(tmp_path / "shards/train", random_episodes(0, 4), per_shard=2)
    write_shards(tmp_path / "shards/val_ind", random_episodes(1, 1), per_shard=2)
    (tmp_path / "tokenizer").mkdir()
    TEXTS.save(tmp_path / "tokenizer/text.json")
    ACTIONS.save(tmp_path / "tokenizer/actions.json")
    params = replace(ACTIONS_ALONE, steps=8, warmup_steps=0, checkpoint_every=2, validate_every=4, dropout=0.1)
    section = asdict(params) | {"samples": ["action"]}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump({"train": section}))
    (tmp_path / "machine.yaml").write_text("training_processes: 2\n")
    return tmp_path


def command(module: str = "toy_training") -> list[str]:
    flags = {"params": "resolved.yaml", "timing": "timing.json"} | {name: name for name in ("shards", "tokenizer", "out")}
    return [sys.executable, "-m", module, *(word for name, value in flags.items() for word in (f"--{name}", value))]


def environment(fault: str = "", **more: str) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
    return os.environ | {"PYTHONPATH": paths, "TOY_FAULT": fault, "OMP_NUM_THREADS": "1"} | more


def stage(project: Path, fault: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(), cwd=project, env=environment(fault, **more), capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_two_processes_write_one_model_and_a_kill_costs_nothing(project):
    whole = stage(project)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count("wrote out: 8 steps") == 1
    expected = load(project / "out").state_dict()

    killed = stage(project, "kill:1:5")
    assert killed.returncode == 1
    assert killed.stderr.splitlines()[-1] == (
        "toy_training: process 1 of 2 was killed by SIGKILL; expected all to run to the end, so the others were ended too; "
        "run the same command to go on from the last checkpoint"
    )
    again = stage(project)
    assert "train: going on from step 4" in again.stdout
    assert again.returncode == 0, again.stderr
    for name, value in load(project / "out").state_dict().items():
        assert value.equal(expected[name]), name
