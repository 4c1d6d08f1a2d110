"""The stage train in two processes of this machine: it begins, fails and goes on as one."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import yaml
from test_training import ACTIONS, ACTIONS_ALONE, TEXTS, random_episodes
from toy_training import SLOW_IMPORTS

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
    flags = {"params": "resolved.yaml", "timing": "timing.json"} | {
        name: name for name in ("shards", "tokenizer", "out")
    }
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

    step = random.randrange(3, 8)  # behind the first checkpoint; the one before the kill may not have been whole
    killed = stage(project, f"kill:1:{step}")
    assert killed.returncode == 1
    assert time.time() - float((project / "killed").read_text()) < 20
    assert killed.stderr.splitlines()[-1] == (
        "toy_training: process 1 of 2 was killed by SIGKILL; expected all to run to the end, so the others were ended too; "
        "run the same command to go on from the last checkpoint"
    )
    again = stage(project)
    assert re.search("train: going on from step [246]" if step > 4 else "", again.stdout), step
    assert again.returncode == 0, again.stderr
    for name, value in load(project / "out").state_dict().items():
        assert value.equal(expected[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says", "kept"),
    [
        ("nan:0:5", "train step 6: the loss is not finite; lower train.learning_rate in conf/", 4),
        ("error:1:5", "out of luck", None),
        ("disk:1:6", "the disk is full; no output is half-written. Free some space and run the same command.", 4),
        ("code:1:0", "process 1 of 2 on HOST has other code than process 0 on HOST; expected the same everywhere", 0),
        ("bf16:0:0", "an old GPU: this GPU has no bf16; expected one that has (from Ampere on)", 0),
        ("memory:0:0", "train: it needs 0.0 GB of cpu memory, 16 bytes of each weight and", 0),
    ],
)
def test_what_one_process_meets_ends_all_in_one_sentence(project, fault, says, kept):
    failed = stage(project, fault)
    assert failed.returncode == 1
    lines = [line for line in failed.stderr.splitlines() if line.startswith("toy_training: ")]
    assert len(lines) == 1, failed.stderr
    assert lines[0].removeprefix("toy_training: ").startswith(says.replace("HOST", socket.gethostname()))
    assert "Traceback" not in failed.stderr
    steps = sorted(path.name for path in project.glob("work/train/*/*step-*"))
    if kept is None:
        assert "step-00000002" in steps  # the next was being written
    else:
        assert steps == [f"step-{step:08}" for step in (kept - 2, kept) if step > 0]


def started(project, fault: str = ""):
    """Start a stage; return it and its two processes."""
    process = subprocess.Popen(command(), cwd=project, env=environment(fault), stderr=subprocess.PIPE, text=True)
    of_it = psutil.Process(process.pid)
    while len(ranks := [child for child in of_it.children() if _trains(child)]) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    return process, ranks


def _trains(process: psutil.Process) -> bool:
    try:
        return "toy_training" in process.cmdline()
    except psutil.Error:  # it has ended meanwhile: what the launcher asks the machine
        return False


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", SLOW_IMPORTS])
def test_processes_end_with_the_stage_that_started_them(project, fault):
    process, ranks = started(project, fault)
    process.kill()
    _, alive = psutil.wait_procs(ranks, timeout=10)
    assert not alive


@pytest.mark.slow
def test_an_interrupted_stage_says_so_once_and_leaves_nobody(project):
    process, ranks = started(project)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.count("interrupted; no output is half-written") == 1
    _, alive = psutil.wait_procs(ranks, timeout=10)
    assert not alive


@pytest.mark.slow
def test_processes_of_torchrun_join_and_the_first_writes(project):
    (project / "machine.yaml").unlink()
    flags = command()[1:]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *flags]
    run = subprocess.run(torchrun, cwd=project, env=environment(), capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("wrote out: 8 steps") == 1
    assert (project / "out/model.safetensors").is_file()
