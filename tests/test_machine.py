"""What machine.yaml says, and what a stage makes of it."""

import subprocess
from types import SimpleNamespace

import pytest

from worldvla.running import machine
from worldvla.running.machine import Machine, TrainingMachine, read_machine


@pytest.fixture
def box(monkeypatch):
    """Return a machine of 128 cores and eight GPUs."""
    listed = "\n".join(f"GPU {number}: NVIDIA H100 (UUID: GPU-{number})" for number in range(8))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=listed))
    monkeypatch.setattr(machine, "num_cores", lambda: 128)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def no_gpu(*_, **__):
    raise FileNotFoundError("nvidia-smi")


def test_without_a_file_a_stage_takes_all_of_this_machine(tmp_path, monkeypatch, box):
    monkeypatch.chdir(tmp_path)
    found = read_machine()
    assert found.share(asks_model=True, num_units=500) == (8, 16, 1)
    assert found.share(asks_model=False, num_units=500) == (128, 1, 0)
    assert found.share(asks_model=False, num_units=3) == (3, 42, 0)
    assert found.side_by_side() == 1
    monkeypatch.setattr(subprocess, "run", no_gpu)
    assert found.share(asks_model=True, num_units=500) == (128, 1, 0)
    assert found.side_by_side() == 128


def test_what_the_file_says_is_done(box):
    assert Machine(workers=4, cores_per_worker=8).share(asks_model=True, num_units=500) == (4, 8, 1)
    assert Machine(gpus_per_worker=2).share(asks_model=True, num_units=500) == (4, 32, 2)
    assert Machine(gpus_per_worker=0, workers=2).share(asks_model=True, num_units=500) == (2, 64, 0)
    assert Machine(stages=3).side_by_side() == 3


def test_a_training_takes_every_gpu_and_a_cpu_as_one_process(monkeypatch, box):
    assert Machine().training() == TrainingMachine(8, 16_384, True)
    assert Machine(training_processes=4, training_tokens=8_000, training_recompute=False).training() == TrainingMachine(
        4, 8_000, False
    )
    monkeypatch.setattr(subprocess, "run", no_gpu)
    assert Machine().training() == TrainingMachine(1, None, False)
    assert Machine(training_processes=2).training() == TrainingMachine(2, None, False)
    with pytest.raises(ValueError, match="training_tokens is 0; expected at least 1"):
        Machine(training_tokens=0)


def test_only_the_gpus_that_may_be_used_count(monkeypatch, box):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    assert machine.visible_gpus() == ["2", "GPU-5"]
    assert Machine().share(asks_model=True, num_units=500) == (2, 64, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.visible_gpus() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("executor: slrum", "machine.yaml: executor is 'slrum'; did you mean 'slurm'\\?"),
        ("worker: 3", "machine.yaml: unknown key 'worker'; did you mean 'workers'\\?"),
        ("workers: -1", "machine.yaml: workers is -1; expected at least 0"),
        ("workers: many", "machine.yaml: workers is the text 'many'; expected a whole number or null"),
        ("hours: 0", "machine.yaml: hours is 0.0; expected a number above 0"),
        ("- workers", r"machine.yaml: holds \['workers'\]; expected 'key: value' lines"),
        ("slurm: {account: [a]}", r"machine.yaml: slurm.account is \['a'\]; expected text or a whole number"),
    ],
)
def test_what_it_cannot_say_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "machine.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_machine()
