"""What ``benchmarks.kills`` takes processes for, whom it kills, and what it makes of what it saw."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import marked_processes
from benchmarks.kills_summary import Kill, outcomes, summary
from benchmarks.marked_processes import KINDS, MARKER, Seen, Watch, choose, kind_of, read_tree, stage_of
from benchmarks.probe import sitecustomize
from benchmarks.same_results import differences, spoilt, trainings

# pid: parent, command; each a moment of its life.
COMMANDS = {
    10: (1, "python -m pipeline.parallel --jobs 2"),
    20: (10, "python -m dvc --wait-for-lock repro --single-item filter@goal-main"),
    21: (20, "/bin/sh -c python..."),
    22: (21, "python -m pipeline.filter --out data/filtered/goal-main"),
    23: (22, "python -c from-multiprocessing.resource_tracker-import-main"),
    24: (22, "python -B -c from-multiprocessing.spawn-import-spawn_main --multiprocessing-fork"),
    25: (24, "python -m worldvla.running.worker work/filter/0123"),
    26: (22, "ffmpeg -i film"),
    30: (10, "python -m dvc --wait-for-lock repro --single-item train@action-goal"),
    31: (30, "python -m dvc --wait-for-lock repro --single-item train@action-goal"),
}
TREE = {pid: Seen(pid, parent, float(pid), tuple(command.split())) for pid, (parent, command) in COMMANDS.items()}


def test_processes_are_told_apart_by_what_they_run_and_come_from():
    kinds = {pid: kind_of(TREE, process) for pid, process in TREE.items()}
    assert {pid: kind for pid, kind in kinds.items() if kind} == {
        10: "runner",
        20: "dvc",
        22: "stage",
        24: "worker",
        25: "worker",
        30: "dvc",  # and not 31, which it has just forked and which is about to become another
    }


def test_a_process_belongs_to_the_stage_of_the_dvc_above_it():
    assert stage_of(TREE, TREE[25]) == stage_of(TREE, TREE[20]) == "filter@goal-main"
    assert stage_of(TREE, TREE[10]) == ""
    orphaned = {pid: process for pid, process in TREE.items() if pid >= 21}
    assert stage_of(orphaned, orphaned[25]) == "pipeline.filter"


def test_every_kind_is_killed_about_as_often():
    counts, draw = Counter(), random.Random(0)
    for _ in range(500):
        chosen = choose(TREE, counts, draw)
        assert chosen is not None
        kind, victims = chosen
        counts[kind] += 1
        assert len(victims) == (len(TREE) if kind == "everything" else 1)
        assert kind == "everything" or kind_of(TREE, victims[0]) == kind
    assert set(counts) == set(KINDS)
    assert max(counts.values()) - min(counts.values()) < 60


def test_without_processes_nothing_is_killed():
    assert choose({}, Counter(), random.Random(0)) is None


def test_whatever_does_not_come_from_the_runner_is_an_orphan(monkeypatch):
    watch, now, tree = Watch("any"), 100.0, dict(TREE)
    monkeypatch.setattr(marked_processes, "read_tree", lambda _: tree)
    monkeypatch.setattr(marked_processes.time, "monotonic", lambda: now)
    watch.look(10)
    assert not watch.orphans
    assert watch.phases() == {"filter@goal-main": "running", "train@action-goal": "starting"}
    del tree[20]
    watch.look(10)
    assert {pid for pid, _ in watch.orphans} == {21, 22, 23, 24, 25, 26}
    del tree[21], tree[22]
    now = 111.0
    watch.look(10)
    assert {process.pid for _, process in watch.overdue(10)} == {23, 24, 25, 26}
    assert watch.longest[0] == 11
    watch.look(None)
    assert watch.orphans.keys() == {process.key for process in tree.values()}
    assert {process.pid for _, process in watch.overdue(10)} == {23, 24, 25, 26}  # the others were orphaned just now


def test_a_stage_is_ending_once_its_command_has_run(monkeypatch):
    watch, tree = Watch("any"), {pid: TREE[pid] for pid in (10, 20, 21, 22)}
    monkeypatch.setattr(marked_processes, "read_tree", lambda _: tree)
    watch.look(10)
    del tree[21], tree[22]
    watch.look(10)
    assert watch.phases() == {"filter@goal-main": "ending"}


def test_a_process_is_found_by_its_marker_and_killed():
    marker = f"test-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=os.environ | {MARKER: marker}
    )
    tree = read_tree(marker)
    assert tree.keys() == {process.pid}
    Seen(process.pid, 0, 1.0, ()).kill()  # an earlier process of the same pid
    assert process.poll() is None
    tree[process.pid].kill()
    assert process.wait(timeout=60) == -9
    assert not read_tree(marker)


def test_a_killed_workers_stage_ends_as_the_runner_says_before_the_next_kill():
    printed = b"a | done in 0:01\nb | going on\na | failed after 0:02\nb | done in 0:03\n"
    kills = [Kill(1, "worker", "a", {"a": "running"}, 17), Kill(2, "worker", "b", {"b": "running"}, 17)]
    assert [outcome for _, outcome in outcomes(kills, printed)] == ["failed", "survived"]
    everything = Kill(3, "everything", "", {"b": "running"}, printed.index(b"b | done"))
    found = [outcome for _, outcome in outcomes([*kills, everything], printed)]
    assert found == ["failed", "killed again before it ended"]


def test_the_summary_counts_phases():
    kills = [Kill(1, "runner", "", {"train@a": "ending", "train@b": "running"}, 0), Kill(2, "runner", "", {}, 0)]
    text = summary(kills, {"survived": 2}, {"violations": "none"})
    assert "| runner | 2 | 0 | 1 | 1 | 1 |" in text
    assert "| stages hit | train 2 |" in text
    assert "| violations | none |" in text


def test_steps_after_the_end_are_a_training_done_again():
    lines = ["7 models/a step", "8 models/a step", "8 models/b step", "8 models/a written", "9 models/b step"]
    assert trainings(lines) == ({"models/a": 2, "models/b": 2}, {})
    assert trainings([*lines, "10 models/a step", "11 models/a step", "11 models/a step"])[1] == {"models/a": 2}


def test_differences_and_spoilt_files_are_named(tmp_path):
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ["b", "c"]
    for content in (b"good", b"bad"):
        name = hashlib.md5(b"good" if content == b"good" else b"other").hexdigest()
        path = tmp_path / "files" / "md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    other = hashlib.md5(b"other").hexdigest()
    assert spoilt(tmp_path) == [f"files/md5/{other[:2]}/{other[2:]}"]


@pytest.mark.slow
def test_the_probe_notes_steps_and_ends(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "toy.py").write_text(
        "import os, torch\n"
        "weight = torch.nn.Parameter(torch.zeros(1))\n"
        "optimizer = torch.optim.AdamW([weight])\n"
        "open('scratch', 'w').close()\n"
        "for _ in range(2):\n"
        "    weight.grad = torch.ones(1)\n"
        "    optimizer.step()\n"
        "os.replace('scratch', 'model')\n"
    )
    env = os.environ | {
        "PYTHONPATH": str(Path(sitecustomize.__file__).parent),
        sitecustomize.NOTES: str(tmp_path / "steps.txt"),
    }
    subprocess.run([sys.executable, "-m", "pipeline.toy", "--out", "model"], cwd=tmp_path, env=env, check=True)
    lines = [line.split()[1:] for line in (tmp_path / "steps.txt").read_text().splitlines()]
    assert lines == [["model", "step"], ["model", "step"], ["model", "written"]]
