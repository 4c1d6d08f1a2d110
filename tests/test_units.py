"""Units: done once each, by any number of workers that may die at any moment, to the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import toy_units

from worldvla.running import leases
from worldvla.running.job import JOB, read_job
from worldvla.running.ledger import Ledger

TESTS = Path(__file__).parent
STAGE = "import sys, toy_units; from pathlib import Path; from worldvla.running.units import finished_units; "
STAGE += "toy_units.results(Path(sys.argv[1]), int(sys.argv[2]))"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder to run in, with the toys on the workers' path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    return tmp_path


def workers(folder: Path, number: int) -> None:
    (folder / "machine.yaml").write_text(f"workers: {number}\n")


def run(folder: Path, **options) -> list[str]:
    return [path.read_text() for path in toy_units.results(folder, **options)]


def stage(folder: Path, count: int = 12) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STAGE, str(folder), str(count)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def log(folder: Path) -> list[tuple[int, int, str]]:
    """Return which numbers were begun, by which processes and with which arithmetic."""
    path = folder / "log"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(int(number), int(pid), arithmetic) for number, pid, arithmetic in rows]


def wait_for(happens, seconds: float = 20.0):
    deadline = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


SQUARES = [f"{number**2}\n" for number in range(12)]


@pytest.mark.parametrize("number", [1, 2, 4])
def test_results_come_in_order_whatever_the_number_of_workers(folder, number):
    workers(folder, number)
    assert run(folder) == SQUARES
    begun = log(folder)
    assert sorted(number for number, *_ in begun) == list(range(12))
    assert 1 <= len({pid for _, pid, _ in begun}) <= number
    assert {arithmetic for *_, arithmetic in begun} == {"same"}
    assert run(folder) == SQUARES
    assert log(folder) == begun, "what is done is not done again"


def test_workers_work_side_by_side(folder):
    workers(folder, 2)
    for number in (0, 6):
        (folder / f"{number}").write_text("meet")
    assert run(folder) == SQUARES
    assert len({pid for number, pid, _ in log(folder) if number in (0, 6)}) == 2


def test_results_are_the_same_for_workers_that_are_killed_at_random(folder):
    workers(folder, 3)
    chance, kills, ended = random.Random(0), 0, None
    while ended is None or ended.returncode != 0:
        if ended:  # chance may strike one unit three times: a person then runs the same command
            assert "died 3 times" in ended.communicate()[0]
        ended = stage(folder, count=60)
        while ended.poll() is None:
            time.sleep(chance.uniform(0.05, 0.3))
            victims = psutil.Process(ended.pid).children() if kills < 12 and ended.poll() is None else []
            for victim in chance.sample(victims, min(1, len(victims))):
                victim.kill()
                kills += 1
    assert kills > 2
    before = len(log(folder))
    assert run(folder, count=60) == [f"{number**2}\n" for number in range(60)]
    assert len(log(folder)) == before


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("refuse", "^number 7 is no good; expected another; change it$"),
        ("break break", "^'000007' failed 2 times: RuntimeError: no luck$"),
        (
            "kill kill kill",
            "^the worker of '000007' died 3 times, .*; if memory ran out, lower the number of workers in",
        ),
    ],
)
def test_a_unit_that_fails_for_good_fails_the_stage_by_name_and_the_rest_is_kept(folder, trouble, message):
    workers(folder, 2)
    (folder / "7").write_text(trouble)
    with pytest.raises(ValueError, match=message):
        run(folder)
    assert (folder / "7").read_text() == ""
    done = {int(path.name[:6]) for path in (folder / "work/toy/0123456789abcdef/results").glob("[!.]*")}
    before = len(log(folder))
    assert run(folder) == SQUARES
    assert sorted(number for number, *_ in log(folder)[before:]) == sorted({*range(12)} - done)


@pytest.mark.parametrize("trouble", ["break", "kill", "kill kill"])
def test_a_unit_whose_worker_dies_or_breaks_is_tried_again(folder, trouble):
    workers(folder, 2)
    (folder / "7").write_text(trouble)
    assert run(folder) == SQUARES


def test_a_full_disk_of_a_worker_is_one_of_the_stage(folder):
    (folder / "3").write_text("full")
    with pytest.raises(OSError, match="No space left on device"):
        run(folder)
    assert run(folder) == SQUARES


def test_a_worker_that_is_interrupted_ends_the_stage_at_once(folder):
    (folder / "3").write_text("interrupt")
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert run(folder) == SQUARES


@pytest.mark.parametrize("harm", [b"", b"8", b"81\nand more"])
def test_a_damaged_result_is_named_and_done_again(folder, capsys, harm):
    workers(folder, 1)
    (path,) = (path for path in toy_units.results(folder) if path.name.startswith("000009"))
    path.write_bytes(harm)
    assert run(folder) == SQUARES
    assert f"{path}: damaged; expected the content that its name is the digest of" in capsys.readouterr().out
    assert [number for number, *_ in log(folder)][12:] == [9]


def test_a_unit_that_came_out_in_two_ways_is_refused(folder):
    paths = toy_units.results(folder)
    paths[4].with_name(f"000004.{'0' * 32}.txt").write_text("17\n")
    with pytest.raises(ValueError, match=r"'000004' has two results that differ, 000004\.0+\.txt and .*same bytes"):
        run(folder)


def test_workers_do_not_outlive_a_stage_that_is_killed_and_the_next_goes_on(folder):
    workers(folder, 2)
    (folder / "5").write_text("wait")
    killed = stage(folder)
    wait_for(lambda: (folder / "5").read_text() == "")
    of_it = psutil.Process(killed.pid).children()
    assert len(of_it) == 2
    killed.kill()
    _, alive = psutil.wait_procs(of_it, timeout=5)
    assert not alive
    done = {int(path.name[:6]) for path in (folder / "work/toy/0123456789abcdef/results").glob("[!.]*")}
    before = len(log(folder))
    assert run(folder) == SQUARES
    assert sorted(number for number, *_ in log(folder)[before:]) == sorted({*range(12)} - done)


def test_a_second_run_of_the_same_work_is_refused_while_the_first_lives(folder):
    (folder / "5").write_text("wait")
    first = stage(folder)
    wait_for(lambda: (folder / "5").read_text() == "")
    with pytest.raises(
        ValueError, match=rf"process {first.pid} on .* has the same work in hand; .*wait for it or end it"
    ):
        run(folder)
    first.kill()
    first.wait()
    assert run(folder) == SQUARES


def test_workers_of_other_machines_do_the_work_of_a_stage_that_has_none(folder):
    """Two machines: two process groups that share only the folder; each has a shard, one dies on the way."""
    workers(folder, 0)
    (folder / "2").write_text("wait")
    waiting = stage(folder)
    job = wait_for(lambda: next(iter(folder.glob("work/toy/*/job.json")), None)).parent
    command = [sys.executable, "-m", "worldvla.running.worker", str(job.relative_to(folder)), "--shard"]
    elsewhere = subprocess.Popen([*command, "0/2"], start_new_session=True)
    wait_for(lambda: (folder / "2").read_text() == "")
    os.killpg(elsewhere.pid, signal.SIGKILL)
    elsewhere.wait()
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "2"}
    subprocess.run(command[:-1], start_new_session=True, env=environment, check=True, timeout=60)
    assert "units wait for workers; start some, here or on any machine" in waiting.communicate(timeout=20)[0]
    assert waiting.returncode == 0
    assert [number for number, *_ in log(folder)][3:5] == [6, 7], "the second shard begins in the middle"
    assert run(folder) == SQUARES


def test_what_a_worker_needs_and_has_not_is_its_own_fault_and_none_of_the_unit(folder):
    (folder / "begin").write_text("refuse refuse")
    with pytest.raises(ValueError, match=r"^no renderer here; expected one; install it$"):
        run(folder)
    leases_of = folder / "work/toy/0123456789abcdef/leases"
    states = {json.loads(path.read_text())["state"] for path in leases_of.glob("0*")}
    assert "released" in states
    assert states <= {"released", "running"}  # the stage may end one worker in the moment in which it refuses, too
    (folder / "begin").unlink()
    assert run(folder) == SQUARES


def test_two_workers_that_serve_any_job_do_those_of_one_stage_after_the_other(folder):
    workers(folder, 0)
    serving = [
        subprocess.Popen([sys.executable, "-m", "worldvla.running.worker"], start_new_session=True) for _ in range(2)
    ]
    (folder / "5").write_text("break")  # its worker ends, and is replaced
    assert run(folder) == SQUARES
    assert run(folder, count=14)[12:] == ["144\n", "169\n"]
    for worker in serving:
        worker.terminate()
    assert {worker.wait(timeout=30) for worker in serving} == {143}


def test_a_worker_that_serves_any_job_ends_when_it_cannot_begin(folder):
    workers(folder, 0)
    (folder / "begin").touch()
    waiting = stage(folder)
    wait_for(lambda: next(iter(folder.glob("work/toy/*/job.json")), None))
    serving = subprocess.run(
        [sys.executable, "-m", "worldvla.running.worker"], text=True, capture_output=True, check=False, timeout=60
    )
    assert serving.returncode == 3
    assert serving.stderr == "worker: no renderer here; expected one; install it\n"
    (folder / "begin").unlink()
    subprocess.run([sys.executable, "-m", "worldvla.running.worker", str(next(folder.glob("work/toy/*")))], check=True)
    assert waiting.wait(timeout=20) == 0


def test_a_new_run_forgets_how_workers_of_other_machines_died(folder, monkeypatch):
    job = toy_units.job(folder)
    ledger = Ledger(job.folder, [unit.name for unit in job.units], job.suffix)
    ledger.make()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(leases, "_host", lambda: "another machine")
        elsewhere.setattr(leases, "BEAT_S", 1000.0)
        for _ in range(3):
            ledger.leases.take("000003", ledger.leases.last().get("000003"))
    monkeypatch.setattr(leases, "LOST_AFTER_S", 0.5)
    ledger.begin_again()
    assert len(ledger.leases.of("000003")) == 1
    assert run(folder) == SQUARES


def test_a_worker_of_another_commit_is_refused_and_takes_nothing(folder):
    toy_units.results(folder)
    job = folder / "work/toy/0123456789abcdef"
    content = json.loads((job / JOB).read_text())
    content["code"]["worldvla/files.py"] = "of another commit"
    (job / JOB).write_text(json.dumps(content))
    before = sorted(path.name for path in (job / "leases").iterdir())
    worker = subprocess.run(
        [sys.executable, "-m", "worldvla.running.worker", str(job)], text=True, capture_output=True, check=False
    )
    assert worker.returncode == 1
    assert "this worker's code is not the stage's: worldvla/files.py differs; expected the same commit" in worker.stderr
    assert "Traceback" not in worker.stderr
    assert sorted(path.name for path in (job / "leases").iterdir()) == before


def test_a_worker_without_a_job_says_what_was_expected(folder):
    worker = subprocess.run(
        [sys.executable, "-m", "worldvla.running.worker", "work/toy/none"], text=True, capture_output=True, check=False
    )
    assert worker.stderr.startswith(
        "worker: work/toy/none/job.json: no such file; expected a job that a stage has written"
    )
    worker = subprocess.run(
        [sys.executable, "-m", "worldvla.running.worker", "--shard", "2/2"], text=True, capture_output=True, check=False
    )
    assert worker.stderr == "worker: --shard is '2/2'; expected i/n with i from 0 to n - 1, as 0/8\n"


def test_a_shared_disk_that_vanishes_is_said_in_a_sentence(folder):
    (folder / "5").write_text("wait")
    running = stage(folder)
    wait_for(lambda: (folder / "5").read_text() == "")
    (folder / "work").rename(folder / "gone")
    printed = running.communicate(timeout=20)[0]
    assert "cannot be read any more" in printed
    assert running.returncode == 1


OF_ITS_OWN = """
import contextlib, sys
from pathlib import Path

from worldvla.running.job import Job, Unit

def double(number):
    return 2 * number

@contextlib.contextmanager
def begin(function):
    yield lambda content, path, advance: path.write_text(str(function(content)))

if __name__ == "__main__":
    units = (Unit("000000", 21),)
    Job(Path(sys.argv[1]), begin, (double,), units, "number", ".txt", environment={}).write()
"""


def test_a_stage_hands_its_workers_a_function_of_its_own_module(folder, monkeypatch):
    (folder / "own_stage.py").write_text(OF_ITS_OWN)
    job_folder = folder / "work/own_stage/0123456789abcdef"
    job_folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "own_stage", str(job_folder)], cwd=folder, check=True, timeout=60)
    monkeypatch.syspath_prepend(folder)
    begun, units = read_job(job_folder).load()
    with begun as work:
        work(units["000000"].content, folder / "result", lambda count: None)
    assert (folder / "result").read_text() == "42"
