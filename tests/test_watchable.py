"""A training can be seen while it runs, and no wall clock of that gets into a result."""

import csv
import errno
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import ACTIONS_ALONE, IDS, NUM_CODES, digest, windows

from worldvla.model.size import Size, work_of
from worldvla.model.training import train
from worldvla.running import watchable
from worldvla.running.machine import Machine
from worldvla.running.watchable import SPEEDS, Curve

CPU = torch.device("cpu")


def row(step, loss=1.0, validation=None):
    return {"step": step, "loss": loss / step, "code": None, "validation_loss": validation}


def read(path):
    with path.with_suffix(".csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that stands until it is set."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(watchable, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_speeds_are_those_of_each_stretch_and_the_progress_says_tokens_per_second(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(watchable, "_peak", lambda _: 1000.0)
    curve = Curve(tmp_path / "run", 2, [], CPU, processes=2)
    clock.seconds = 2.0
    assert curve.note(row(1), samples=4, tokens=100, flops=500.0) == {"tokens/s": "100"}
    clock.seconds = 3.0
    assert curve.note(row(2, validation=0.5), samples=4, tokens=3000, flops=500.0) == {"tokens/s": "6,000"}
    curve.close()
    first, second = read(tmp_path / "run")
    assert list(first) == ["step", "loss", "code", "validation_loss", *SPEEDS]
    assert [first[name] for name in ("step", "samples/s", "tokens/s", "MFU")] == ["1", "4", "100", "0.25"]
    assert [second[name] for name in ("code", "validation_loss", "MFU")] == ["", "0.5", "0.5"]
    assert float(second["memory GB"]) > 0.01
    assert Image.open(tmp_path / "run.png").size[0] > 400


def test_the_files_are_written_every_30_seconds_at_most_and_whole(tmp_path, clock):
    curve = Curve(tmp_path / "run", 100, [], CPU)
    sizes = []
    for step in range(1, 101):
        clock.seconds = float(step)
        curve.note(row(step), 1, 10, 1.0)
        sizes.append(len(read(tmp_path / "run")) if (tmp_path / "run.csv").exists() else 0)
    assert sizes[28:30] == [0, 30]
    assert sizes[58:60] == [30, 60]
    assert {path.name for path in tmp_path.iterdir()} == {"run.csv", "run.png"}


def test_a_long_training_has_about_a_thousand_rows_each_the_mean_of_its_steps(tmp_path, clock):
    curve = Curve(tmp_path / "run", 3500, [], CPU)
    for step in range(1, 3501):
        clock.seconds = step / 1000
        curve.note({"step": step, "loss": float(step), "validation_loss": None}, 2, 20, 1.0)
    curve.close()
    lines = read(tmp_path / "run")
    assert len(lines) == 875
    assert (lines[0]["step"], lines[0]["loss"]) == ("4", "2.5")
    assert float(lines[-1]["samples/s"]) == pytest.approx(2000)


def test_a_resumed_training_keeps_the_speeds_that_were_measured(tmp_path, clock):
    rows = [row(step) for step in range(1, 7)]
    curve = Curve(tmp_path / "run", 6, [], CPU)
    for one in rows[:4]:
        clock.seconds += 1.0
        curve.note(one, 1, 10, 1.0)
    curve.write()
    before = read(tmp_path / "run")
    resumed = Curve(tmp_path / "run", 6, rows[:5], CPU)  # a checkpoint that is newer than the file
    resumed.note(rows[5], 1, 10, 1.0)
    resumed.close()
    after = read(tmp_path / "run")
    assert after[:4] == before
    assert [line["tokens/s"] == "" for line in after] == [False] * 4 + [True, False]


def test_another_training_of_the_same_name_keeps_nothing(tmp_path, clock):
    for loss in (1.0, 2.0):
        curve = Curve(tmp_path / "run", 2, [row(1, loss)] if loss == 2.0 else [], CPU)
        if loss == 1.0:
            clock.seconds += 1.0
            curve.note(row(1, loss), 1, 10, 1.0)
        curve.close()
    (line,) = read(tmp_path / "run")
    assert (line["loss"], line["tokens/s"]) == ("2", "")
    (tmp_path / "run.csv").write_text("not,a curve\n1,2\n")
    Curve(tmp_path / "run", 2, [row(1)], CPU).close()
    assert read(tmp_path / "run")[0]["loss"] == "1"


def test_a_full_disk_ends_no_training(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(watchable, "write_text", full)
    curve = Curve(tmp_path / "run", 1, [], CPU)
    curve.note(row(1), 1, 10, 1.0)
    curve.close()


def test_the_results_are_the_same_whether_somebody_looks_or_not(tmp_path):
    params = replace(ACTIONS_ALONE, steps=4, warmup_steps=0, checkpoint_every=2)
    codebook = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)

    def trained(name, seen):
        found = train(params, IDS, codebook, windows(0, params), windows(1, params), tmp_path / name, seen=seen)
        assert found is not None
        return found

    seen = trained("seen", tmp_path / "curves" / "run")
    assert digest(seen) == digest(trained("unseen", None))
    assert not set(SPEEDS) & set(seen.curve[0])
    lines = read(tmp_path / "curves" / "run")
    assert [float(line["loss"]) for line in lines] == pytest.approx([one["loss"] for one in seen.curve], rel=1e-5)
    assert all(float(line["tokens/s"]) > 0 for line in lines)


def test_the_work_of_a_step_is_counted_without_padding():
    params = replace(ACTIONS_ALONE)
    samples = [windows(0, params)[index] for index in (0, 5)]
    size = Size(body=10, head=3, total=16, width=2, layers=5)
    lengths = [sample.tokens.size for sample in samples]
    answered = 9 * params.chunk + 1
    assert lengths[0] < lengths[1]
    assert work_of(samples, size) == (2, sum(lengths), sum(size.training(length, answered) for length in lengths))


def test_tensorboard_gets_each_row_if_machine_yaml_says_so(tmp_path, clock, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setattr(watchable, "read_machine", lambda: Machine(tensorboard=True))
    curve = Curve(tmp_path / "run", 2, [row(1)], CPU)
    clock.seconds = 1.0
    curve.note(row(2), 1, 10, 1.0)
    curve.close()
    assert written[0] == ("work/tensorboard/run", 1)
    assert ("loss", 0.5, 2) in written
    assert ("tokens/s", 10.0, 2) in written
    assert written[-1] == "closed"
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ValueError, match=r"^machine.yaml: tensorboard is true, and its package is not installed; .*pip install"
    ):
        Curve(tmp_path / "run", 2, [], CPU)
    Curve(None, 2, [], CPU)
