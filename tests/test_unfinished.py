"""Work is continued only by the same code, stays until DVC has its result, and what cannot be written says why."""

import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import worldvla
from worldvla.files import PROCESS
from worldvla.running import unfinished
from worldvla.running.checkpoints import checkpoint_file, read_checkpoint
from worldvla.running.unfinished import Clock, finish, seconds_of, sweep, work_folder
from worldvla.stage_code import PACKAGES

REPOSITORY = Path(worldvla.__file__).parent.parent

# What decides the folder of a stage's work.
FOLDERS = (
    "from worldvla.running.unfinished import work_folder as of; print(of('train', 'inputs'), of('split', 'inputs'))"
)


def test_work_is_continued_by_the_same_code_and_inputs_of_the_stage_only(tmp_path):
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))

    def folders(changed: str | None = None) -> tuple[str, str]:
        if changed is not None:
            with (tmp_path / changed).open("a") as stream:
                stream.write("# changed\n")
        train, split = subprocess.check_output([sys.executable, "-c", FOLDERS], cwd=tmp_path, text=True).split()
        return train, split

    train, split = folders()
    assert train.startswith("work/train/")
    assert split.startswith("work/split/")
    assert folders("pipeline/parallel.py") == folders("worldvla/running/console.py") == (train, split)
    other_train, same_split = folders("worldvla/masks.py")
    assert (other_train != train, same_split) == (True, split)
    assert folders("worldvla/data/splits.py")[1] != split
    assert work_folder("train", "inputs") != work_folder("train", "other inputs")


def lock(*stages: str) -> None:
    """Write a dvc.lock in which the stages ``name=digest`` have entries."""
    lines = ["schema: '2.0'", "stages:"]
    for stage in stages:
        name, _, digest = stage.partition("=")
        lines += [f"  {name}:", "    cmd: true", "    outs:", "    - path: data", "      md5: " + digest]
    Path("dvc.lock").write_text("\n".join(lines) + "\n")


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """Return a folder of work in a project that nothing has been saved of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    folder = Path("work/train/4f0c")
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").touch()
    return folder


def test_without_dvc_the_work_goes_with_the_end_of_the_stage(work):
    finish(work)
    assert not work.exists()
    finish(work)  # of a stage that left nothing


@pytest.mark.parametrize(("before", "after"), [((), ("train@a=1",)), (("train@a=1",), ("train@a=2",))])
def test_work_stays_until_dvc_has_saved_the_result(work, monkeypatch, before, after):
    if before:
        lock("download=0", *before, "train@b=0")
    monkeypatch.setenv("DVC_STAGE", "train@a")
    finish(work)
    sweep()
    assert (work / "checkpoint.pt").exists()
    lock("download=1", *before, "train@b=1")  # others are saved meanwhile
    sweep()
    assert (work / "checkpoint.pt").exists()
    lock("download=1", *after, "train@b=1")
    sweep()
    assert not work.exists()


def test_the_last_entry_of_the_lock_is_read_to_its_end(work, monkeypatch):
    lock("download=0", "train@a=1")
    monkeypatch.setenv("DVC_STAGE", "train@a")
    finish(work)
    lock("train@a=1")
    sweep()
    assert work.exists()
    lock("train@a=2")
    sweep()
    assert not work.exists()


def test_what_was_killed_before_it_was_saved_outlasts_what_is_saved_of_the_same_stage(work, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train@a")
    finish(work)  # killed here; then other params
    for digest in ("77aa", "99bb"):
        other = Path("work/train", digest)
        other.mkdir()
        finish(other)
        lock(f"train@a={digest}")
        sweep()
        assert not other.exists()
        assert (work / "checkpoint.pt").exists()
        sweep()
    assert (work / "checkpoint.pt").exists()
    finish(work)
    lock("train@a=4f0c")
    sweep()
    assert not work.exists()


def test_a_lock_without_the_entry_says_nothing(work, monkeypatch):
    lock("train@a=1")
    monkeypatch.setenv("DVC_STAGE", "train@a")
    finish(work)
    Path("dvc.lock").unlink()  # or cut, while DVC writes it
    sweep()
    assert work.exists()


def test_work_that_is_not_finished_and_that_of_other_stages_stays(work, monkeypatch):
    other = Path("work/filter/77aa")
    other.mkdir(parents=True)
    sweep()
    assert work.exists()
    monkeypatch.setenv("DVC_STAGE", "filter@goal")
    finish(other)
    lock("train@a=1", "filter@goal=1")
    sweep()
    assert work.exists()
    assert not other.exists()


@pytest.mark.slow
def test_dvc_itself_tells_a_stage_its_name_and_its_lock_is_understood(work, monkeypatch):
    stage = "import pathlib, worldvla.running.unfinished as u; u.finish(pathlib.Path('work/train/4f0c')); "
    Path("stage.py").write_text(f"{stage}pathlib.Path('out').write_text(pathlib.Path('in').read_text())\n")
    Path("in").write_text("first")
    do = f"{{cmd: {sys.executable} stage.py, deps: [in], outs: [out]}}"
    Path("dvc.yaml").write_text(f"stages:\n  train:\n    foreach: [a]\n    do: {do}\n")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], check=True)
    for content in ("first", "second"):
        Path("in").write_text(content)
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run([*dvc, "repro", "--quiet"], check=True)
        assert (work / "finished").read_text().startswith("train@a\n")
        assert Path("out").read_text() == content
        sweep()
        assert not work.exists()


@pytest.fixture
def now(monkeypatch) -> SimpleNamespace:
    """Return the time that clocks see, to be moved."""
    time = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(unfinished, "time", SimpleNamespace(monotonic=lambda: time.seconds))
    return time


def test_a_clock_sums_the_sittings_at_some_work(tmp_path, now):
    work = tmp_path / "work"
    for sitting in range(3):
        clock = Clock(work)
        assert seconds_of(work) == 20 * sitting
        now.seconds += 20
        assert clock.note() == 20 * (sitting + 1)
        now.seconds += 0.5
        clock.note()  # within a second, which is lost to a kill
        now.seconds += 1000  # until somebody starts it again


def test_a_clock_leaves_out_what_does_not_count(tmp_path, now):
    clock = Clock(tmp_path)
    now.seconds += 3600
    assert clock.note(counts=False) == 0  # in the cluster's queue
    now.seconds += 0.5
    assert clock.note() == 0.5
    clock.write()
    assert seconds_of(tmp_path) == 0.5


def test_a_clock_of_other_work_begins_at_nothing_and_a_damaged_note_does_too(tmp_path, now):
    clock = Clock(tmp_path / "one")
    now.seconds += 20
    clock.note()
    assert seconds_of(tmp_path / "other") == 0
    (tmp_path / "one/seconds").write_bytes(b"\xff")
    assert seconds_of(tmp_path / "one") == 0


def save(folder: Path, size: int) -> None:
    with checkpoint_file(folder / "checkpoint.pt") as stream:
        torch.save({"model": torch.zeros(size)}, stream)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    save(tmp_path, 3)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"].tolist() == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_full_disk_is_an_error_of_the_disk(tmp_path, size):
    # Where the file is written until it is whole.
    (tmp_path / f".partial-{PROCESS}-checkpoint.pt").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save(tmp_path, size)
    assert not list(tmp_path.iterdir())


def test_a_file_that_stops_growing_halfway_is_an_error_of_the_disk(tmp_path):
    """What torch writes last would still fit, so that nothing but its own error is left at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(tmp_path, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_other_errors_of_saving_stay_what_they_are(tmp_path, monkeypatch):
    def fail(content: object, stream: object) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="no such device"):
        save(tmp_path, 1)
    assert not list(tmp_path.iterdir())


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_checkpoint_is_read_if_there_is_one(tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert read_checkpoint(path, read) is None
    save(tmp_path, 3)
    content = read_checkpoint(path, read)
    assert content is not None
    assert content["model"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("harm", ["empty", "cut", "other"])
def test_a_damaged_checkpoint_is_named_and_set_aside(tmp_path, capsys, harm):
    path = tmp_path / "checkpoint.pt"
    save(tmp_path, 1000)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "other": b"no checkpoint at all"}[harm])
    assert read_checkpoint(path, read) is None
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt.damaged"]
    assert (
        f"{path}: cannot be read; expected the checkpoint of an interrupted run; set aside" in capsys.readouterr().out
    )
    path.write_bytes(b"")
    assert read_checkpoint(path, lambda path: pickle.loads(path.read_bytes())) is None
