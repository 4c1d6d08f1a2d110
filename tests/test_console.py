"""How a stage ends: one sentence and an exit code, whatever went wrong."""

import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest

from worldvla.files import atomic_file, atomic_folder
from worldvla.running import console


@pytest.fixture(autouse=True)
def _elsewhere(request, tmp_path, monkeypatch):
    """Run stages in another folder than this project's, whose finished work they would sweep away."""
    if "missing_flag" not in request.node.name:  # a process of its own, which ends before that
        monkeypatch.chdir(tmp_path)


def run_stage(monkeypatch, error: BaseException | None):
    def main(*, name: str) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["stage", "--name", "x"])
    with pytest.raises(SystemExit) as caught:
        console.run(main)
    return caught.value.code


def test_a_stage_that_succeeds_exits_with_0(monkeypatch, capsys):
    assert run_stage(monkeypatch, None) == 0
    assert "finished in" in capsys.readouterr().out


def test_a_stage_sweeps_the_work_away_whose_results_are_saved(monkeypatch):
    saved = Path("work/train/4f0c")
    saved.mkdir(parents=True)
    (saved / "finished").write_text("train@a\n")
    open_work = Path("work/train/77aa")
    open_work.mkdir()
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  train@a:\n    cmd: true\n")
    assert run_stage(monkeypatch, None) == 0
    assert not saved.exists()
    assert open_work.exists()


def test_bad_input_is_one_sentence(monkeypatch):
    assert (
        run_stage(monkeypatch, ValueError("chunk is 0; expected at least 1"))
        == "test_console: chunk is 0; expected at least 1"
    )


def test_a_full_disk_is_one_sentence(monkeypatch):
    message = run_stage(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    assert "the disk is full; no output is half-written" in str(message)


def test_an_interruption_exits_with_130(monkeypatch, capfd):
    assert run_stage(monkeypatch, KeyboardInterrupt()) == 130
    assert "Run the same command to continue" in capfd.readouterr().err


def test_an_error_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage"])

    def main() -> None:
        raise AssertionError("a bug")

    with pytest.raises(AssertionError, match="a bug"):
        console.run(main)


def test_a_missing_flag_names_it():
    done = subprocess.run([sys.executable, "-m", "pipeline.resolve"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--params" in done.stderr


def test_off_a_terminal_a_bar_is_lines():
    stream = io.StringIO()
    with console.Progress(total=2, desc="train", unit="step", file=stream) as bar:
        bar.update(2)
    lines = [line for line in stream.getvalue().splitlines() if line]
    assert "\r" not in stream.getvalue()
    assert lines[-1].startswith("train: 100%")


def test_a_failed_block_leaves_the_earlier_output(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file.txt"
    with atomic_folder(folder) as scratch:
        (scratch / "a").write_text("first")
    with atomic_file(file) as scratch:
        scratch.write_text("first")
    for fail in (fail_in_folder, fail_in_file):
        with pytest.raises(ValueError, match="stop"):
            fail(tmp_path)
    assert (folder / "a").read_text() == file.read_text() == "first"


def fail_in_folder(folder):
    with atomic_folder(folder / "folder") as scratch:
        (scratch / "a").write_text("second")
        raise ValueError("stop")


def fail_in_file(folder):
    with atomic_file(folder / "file.txt") as scratch:
        scratch.write_text("second")
        raise ValueError("stop")
