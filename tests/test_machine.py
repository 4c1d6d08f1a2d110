"""What machine.yaml says, and what a stage makes of it."""

import subprocess
from types import SimpleNamespace

import pytest

from worldvla.running import machine
from worldvla.running.machine import Machine, Share, TrainingMachine, read_machine


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
    assert found.share(asks_model=True, num_units=500) == [Share(16, (f"{number}",)) for number in range(8)]
    assert found.share(asks_model=False, num_units=500) == [Share(1, None)] * 128
    assert found.share(asks_model=False, num_units=3) == [Share(42, None)] * 3
    assert found.side_by_side() == 1
    monkeypatch.setattr(subprocess, "run", no_gpu)
    assert found.share(asks_model=True, num_units=500) == [Share(1, ())] * 128
    assert found.side_by_side() == 128


def test_what_the_file_says_is_done(box):
    four = Machine(workers=4, cores_per_worker=8).share(asks_model=True, num_units=500)
    assert four == [Share(8, (f"{number}",)) for number in range(4)]
    pairs = Machine(gpus_per_worker=2).share(asks_model=True, num_units=500)
    assert pairs == [Share(32, gpus) for gpus in (("0", "1"), ("2", "3"), ("4", "5"), ("6", "7"))]
    assert pairs[1].environment() == {"STAGE_CORES": "32", "CUDA_VISIBLE_DEVICES": "2,3"}
    on_cpu = Machine(gpus_per_worker=0, workers=2).share(asks_model=True, num_units=500)
    assert [share.environment()["CUDA_VISIBLE_DEVICES"] for share in on_cpu] == ["", ""]
    assert Machine(stages=3).side_by_side() == 3
    assert Machine(executor="slurm").num_workers(asks_model=True, num_units=500) == 8


def test_more_workers_than_gpus_are_refused(box):
    with pytest.raises(
        ValueError, match=r"machine\.yaml: 9 workers want 9 GPUs; expected at most 8, .*gpus_per_worker: 0"
    ):
        Machine(workers=9).share(asks_model=True, num_units=500)
    assert len(Machine(workers=9).share(asks_model=False, num_units=500)) == 9


def test_a_file_of_comments_says_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "machine.yaml").write_text("# workers: 3\n")
    assert read_machine() == Machine()


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
    assert Machine().share(asks_model=True, num_units=500) == [Share(64, ("2",)), Share(64, ("GPU-5",))]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.visible_gpus() == []
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
