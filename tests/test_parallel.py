"""The runner of several stages at a time, in toy repositories."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pipeline import parallel
from worldvla.running.cores import num_cores

REPOSITORY = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# A stage of the toys: writes when it ran, waits for the stages that it must meet, and fails while "broken" names it.
STAGE = """
import os, pathlib, signal, sys, time
name, out, *others = sys.argv[1:]
events = pathlib.Path("events")

def interrupted(*_):
    with (events / f"{name}.interrupts").open("a") as stream:
        stream.write("once ")
    sys.exit("deaf" not in others and 130)

signal.signal(signal.SIGINT, signal.SIG_IGN if "deaf" in others else interrupted)
(events / f"{name}.env").write_text(" ".join(os.environ.get(x, "unset") for x in ("OMP_NUM_THREADS", "STAGE_CORES")))
(events / f"{name}.pid").write_text(str(os.getpid()))
(events / f"{name}.start").write_text(str(time.time()))
print("hello from", name)
deadline = time.time() + 60
while any(not (events / f"{other}.start").exists() for other in others):
    if time.time() > deadline:
        sys.exit(f"{name} never met {others}")
    time.sleep(0.02)
if pathlib.Path("broken").exists() and pathlib.Path("broken").read_text() == name:
    sys.exit(f"{name} is broken")
time.sleep(0.1)
pathlib.Path(out).write_text(name)
(events / f"{name}.end").write_text(str(time.time()))
"""


def stage(name: str, *others: str, deps: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a stage that writes a file of its name; it waits until the others have started."""
    command = " ".join(("python stage.py", name, f"{name}.out", *others))
    return {"cmd": command, "deps": [f"{dep}.out" for dep in deps], "outs": [f"{name}.out"], **more}


class Toy:
    """A DVC repository of toy stages."""

    def __init__(self, folder: Path, stages: dict[str, Any]) -> None:
        self.folder = folder / "toy"
        (self.folder / "events").mkdir(parents=True)
        (self.folder / "stage.py").write_text(STAGE)
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        self.env = {
            key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "STAGE_CORES")
        } | {
            "PYTHONPATH": str(REPOSITORY),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / "site_cache"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
            subprocess.run(command, cwd=self.folder, env=self.env, check=True)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.parallel", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Return the runner's exit code and its lines."""
        process = self.start(*arguments)
        printed, _ = process.communicate()
        return process.returncode, printed.splitlines()

    def repro(self) -> str:
        """Return what ``dvc repro`` prints."""
        return subprocess.check_output(["dvc", "repro"], cwd=self.folder, env=self.env, text=True)

    def locked(self) -> set[str]:
        """Return the stages that dvc.lock knows."""
        path = self.folder / "dvc.lock"
        return set(yaml.safe_load(path.read_text())["stages"]) if path.exists() else set()

    def event(self, name: str) -> str:
        return (self.folder / "events" / name).read_text()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def has_started(self, *names: str) -> bool:
        return all((self.folder / "events" / f"{name}.start").exists() for name in names)

    def lives(self, name: str) -> bool:
        """Return whether a stage still runs. An orphan that init has yet to bury does not."""
        try:
            return psutil.Process(int(self.event(f"{name}.pid"))).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


EACH = ["each@0", "each@1", "each@2"]
GRAPH = {
    "top": stage("top"),
    "left": stage("left", "right", deps=("top",)),
    "right": stage("right", "left", deps=("top",)),
    "whole": stage("whole", deps=("top",), meta={"alone": True}),
    "bottom": stage("bottom", deps=("left", "right")),
    "each": {"foreach": [0, 1, 2], "do": stage("each${item}")},
    "end": stage("end", deps=("bottom", "whole", "each0", "each1", "each2")),
}
STAGES = {"top", "left", "right", "whole", "bottom", *EACH, "end"}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Return a toy whose graph has run once, two stages at a time, and the lines that this printed."""
    toy = Toy(tmp_path_factory.mktemp("graph"), GRAPH)
    code, lines = toy.run("-j", "2")
    assert code == 0, lines
    return toy, lines


def times(toy: Toy) -> dict[str, tuple[float, float]]:
    names = [name.replace("@", "") for name in STAGES]
    return {name: (float(toy.event(f"{name}.start")), float(toy.event(f"{name}.end"))) for name in names}


def test_a_stage_runs_after_what_it_depends_on(graph):
    when = times(graph[0])
    for before, after in (("top", "left"), ("top", "right"), ("top", "whole"), ("left", "bottom"), ("right", "bottom")):
        assert when[before][1] < when[after][0]


def test_stages_run_side_by_side_but_nothing_beside_one_that_runs_alone(graph):
    when = times(graph[0])
    assert max(when["left"][0], when["right"][0]) < min(when["left"][1], when["right"][1])
    start, stop = when.pop("whole")
    assert not [name for name, (first, last) in when.items() if first < stop and last > start]


def test_the_cores_are_shared_out_except_to_a_stage_that_nothing_runs_beside(graph):
    share = max(1, num_cores() // 2)
    for name in ("top", "left", "right"):
        assert graph[0].event(f"{name}.env") == f"{share} {share}"
    for name in ("whole", "end"):
        assert graph[0].event(f"{name}.env") == "unset unset"


def test_lines_carry_the_name_of_their_stage_and_the_last_one_counts(graph):
    _, lines = graph
    assert "each@1 | hello from each1" in lines
    assert "left | > python stage.py left left.out right" in lines
    assert all(" | " in line for line in lines[:-1])
    assert not [line for line in lines if "lock file" in line or "git add" in line]
    assert lines[-1].startswith("parallel: of 9 stages 9 ran, 0 were up to date; 0:")


def test_afterwards_dvc_and_we_find_nothing_to_do(graph):
    toy, _ = graph
    assert toy.locked() == STAGES
    assert "Data and pipelines are up to date." in toy.repro()
    code, lines = toy.run()
    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith("parallel: of 9 stages 0 ran, 9 were up to date; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lefd"], "parallel: unknown target 'lefd'; did you mean 'left'?"),
        (["xyz"], "parallel: unknown target 'xyz'; known stages: top, left, right, whole, bottom, each, end"),
        (["-j", "0"], "parallel: --jobs is 0; expected 1 or more"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(graph, arguments, message):
    code, lines = graph[0].run(*arguments)
    assert (code, lines) == (1, [message])


def test_params_are_set_as_dvc_would_before_anything_runs(tmp_path):
    toy = Toy(tmp_path, {"each": {"foreach": "${names}", "do": stage("each${item}")}})
    params = toy.folder / "params.yaml"
    params.write_text("# Of the stages.\nnames:\n- a\nchunk: null  # none\n")
    code, lines = toy.run("-S", "names=[b,c]", "-S", "chunk=10")
    assert code == 0, lines
    assert toy.locked() == {"each@b", "each@c"}
    assert params.read_text() == "# Of the stages.\nnames:\n- b\n- c\nchunk: 10    # none\n"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "chnk=10",
            r"^parallel: -S chnk=10: .*chnk.*; expected NAME=VALUE of what params.yaml has, as for `dvc exp run`$",
        ),
        ("chunk", r"^parallel: -S chunk: .*; expected NAME=VALUE of what params.yaml has"),
        ("other.yaml:chunk=10", r"^parallel: -S other.yaml: no such file; expected NAME=VALUE of params.yaml"),
    ],
)
def test_a_param_that_is_not_there_is_refused_in_one_sentence(setting, message, tmp_path):
    toy = Toy(tmp_path, {"a": stage("a")})
    (toy.folder / "params.yaml").write_text("chunk: null\n")
    code, lines = toy.run("-S", setting)
    assert code == 1
    assert len(lines) == 1
    assert re.search(message, lines[0])
    assert not toy.has_started("a")


def test_outside_of_a_repository_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["parallel"])
    with pytest.raises(SystemExit, match="this folder is in no DVC repository; change to the project's folder"):
        parallel.main()


def test_without_git_one_sentence_says_how_to_get_it(tmp_path):
    toy = Toy(tmp_path, {"a": stage("a")})
    (toy.folder / ".git").rename(toy.folder / "away")
    line = f"parallel: {toy.folder} is not a git repository; DVC needs one; run: git init, then run this again"
    assert toy.run() == (1, [line])


def test_results_inside_a_link_are_refused_before_anything_runs_and_the_remedy_works(tmp_path):
    toy = Toy(tmp_path, {"a": {"cmd": "python stage.py a data/a/out", "deps": ["stage.py"], "outs": ["data/a"]}})
    (tmp_path / "big").mkdir()
    (toy.folder / "data").symlink_to(tmp_path / "big")
    code, (line,) = toy.run()
    assert code == 1
    assert line.startswith(
        f"parallel: data is a link to {tmp_path / 'big'}, through which DVC saves nothing; expected a folder"
    )
    assert not toy.has_started("a")
    _, _, remedy = line.removesuffix(", then run this again").partition("run: ")
    subprocess.run(remedy, shell=True, cwd=toy.folder, env=toy.env, check=True)
    (toy.folder / "stage.py").write_text(
        STAGE.replace("pathlib.Path(out).write", "os.makedirs('data/a'); pathlib.Path(out).write")
    )
    code, lines = toy.run()
    assert code == 0, lines
    assert tmp_path / "big" in (toy.folder / "data" / "a" / "out").resolve().parents
    assert toy.locked() == {"a"}


def test_targets_run_with_all_that_they_depend_on_and_nothing_else(tmp_path):
    each = {"matrix": {"x": [0, 1]}, **stage("each${item.x}", deps=("top",))}
    toy = Toy(tmp_path, {"top": stage("top"), "each": each, "left": stage("left"), "other": stage("other")})
    assert toy.run("-j", "3", "each", "left")[0] == 0
    assert toy.locked() == {"top", "each@0", "each@1", "left"}


def test_no_entry_of_the_lock_file_is_lost_and_the_run_cache_is_used(tmp_path):
    names = [f"small{i}" for i in range(12)]
    toy = Toy(tmp_path, {"first": stage("first")} | {name: stage(name, deps=("first",)) for name in names})
    for words in ("13 ran, 0 were up to date;", "1 ran, 0 were up to date, 12 came from DVC's run cache;"):
        code, lines = toy.run("-j", "4")
        assert code == 0
        assert words in lines[-1]
        assert toy.locked() == {"first", *names}
        if words.startswith("13"):
            for left in ("dvc.lock", *(f"{name}.out" for name in names)):
                (toy.folder / left).unlink()
    assert toy.repro().count("didn't change, skipping") == 13


def test_after_a_failure_all_else_runs_and_what_depends_on_it_is_named_and_a_second_run_continues(tmp_path):
    stages = {"top": stage("top"), "bad": stage("bad", "good", deps=("top",)), "after": stage("after", deps=("bad",))}
    stages |= {"good": stage("good", "bad", deps=("top",)), "next": stage("next", deps=("good",))}
    toy = Toy(tmp_path, stages | {"end": stage("end", deps=("after", "next"))})
    (toy.folder / "broken").write_text("bad")
    code, lines = toy.run("-j", "2")
    assert code == 1
    assert "bad | bad is broken" in lines
    assert any(line.endswith("; what does not depend on it goes on (Ctrl-C ends it)") for line in lines)
    assert lines[-2:] == [
        "parallel: not run, as it depends on what failed: after, end",
        "parallel: 'bad' failed, see above; 3 of 6 stages are done. Mend it, then run the same command to continue.",
    ]
    assert toy.locked() == {"top", "good", "next"}
    assert not toy.has_started("after")
    (toy.folder / "broken").unlink()
    code, lines = toy.run("-j", "2")
    assert code == 0
    assert lines[-1].startswith("parallel: of 6 stages 3 ran, 3 were up to date; ")
    assert "up to date" in toy.repro()
