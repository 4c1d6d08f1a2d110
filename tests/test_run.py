"""The script ``run``, with a Python, an apt-get and a pip that only write down what they are asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A Python of the version 3.11 that makes a .venv of stubs; the file "lacks" says what its machine does not have.
PYTHON = """#!/bin/sh
[ "$1" = - ] && set -- "$(cat)"
case "$*" in
    *'sys.exit(not (3, 10)'*) exit 0 ;;
    *'import ensurepip'*) [ ! -e "$MACHINE/lacks_venv" ]; exit ;;
    *print*version_info*) echo python3.11-venv ;;
    *find_library*) [ ! -e "$MACHINE/lacks_renderer" ]; exit ;;
    '-m venv --clear .venv')
        mkdir -p .venv/bin && cp "$0" .venv/bin/python
        echo venv >>"$MACHINE/log" ;;
    '-m pip'*) echo "$*" >>"$MACHINE/log"; [ ! -e "$MACHINE/lacks_network" ]; exit ;;
    '-m pipeline.parallel'*) echo "$*" >>"$MACHINE/log" ;;
    '-m worldvla.plan'*) echo "$*" >>"$MACHINE/log"; exit 1 ;;
    '-m worldvla.serving'* | '-m worldvla.push'*) echo "$*" >>"$MACHINE/log" ;;
    '-m pytest'*) echo "$*" >>"$MACHINE/log"; exit 3 ;;
esac
"""
# Installing a package ends its lack.
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$MACHINE/log"
case "$*" in *install*osmesa*) rm "$MACHINE/lacks_renderer" ;; *install*venv*) rm "$MACHINE/lacks_venv" ;; esac
"""
TOOLS = ["bash", "cat", "cp", "dirname", "env", "git", "mkdir", "readlink", "rm", "sh", "sha256sum"]


class Machine:
    """A checkout and a PATH of stubs."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.folder = folder / "checkout", folder
        self.checkout.mkdir()
        for name in ("run", "pyproject.toml", "constraints.txt", "no-deps.txt"):
            shutil.copy(REPOSITORY / name, self.checkout)
        (folder / "bin").mkdir()
        for tool in TOOLS:
            (folder / "bin" / tool).symlink_to(shutil.which(tool) or tool)
        self.program("python3", PYTHON)
        self.program("id", "#!/bin/sh\necho 1000\n")

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code of ./run and the last line that it printed."""
        env = {"PATH": str(self.folder / "bin"), "MACHINE": str(self.folder), "HOME": str(self.folder)}
        done = subprocess.run(
            [self.checkout / "run", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, (done.stdout.splitlines() or [""])[-1]

    def log(self) -> list[str]:
        """Return what the stubs were asked since the last call."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_set_up_installs_once_and_arguments_are_passed_on(machine):
    assert machine.run("reproduce", "-j", "2", "train")[0] == 0
    venv, *pips, runner = machine.log()
    assert venv == "venv"
    assert [line.split()[2] for line in pips] == ["install"] * 3
    assert "--no-deps --requirement no-deps.txt" in pips[2]
    assert all("--constraint constraints.txt" in line for line in pips)
    assert runner == "-m pipeline.parallel -j 2 train"
    assert machine.run("setup")[0] == 0
    assert machine.log() == []


def test_a_download_without_git_becomes_a_repository_where_dvc_needs_one(machine):
    machine.run("test")
    assert not (machine.checkout / ".git").exists()
    assert machine.run("reproduce")[1] == "run: no git repository here, which DVC needs: git init"
    assert (machine.checkout / ".git").is_dir()
    assert machine.run("reproduce") == (0, "")


def test_a_download_inside_another_repository_is_left_alone(machine):
    subprocess.run(["git", "init", "--quiet"], cwd=machine.folder, check=True)
    assert machine.run("reproduce")[0] == 0
    assert not (machine.checkout / ".git").exists()


def test_released_sets_what_the_papers_weights_need_and_runs_their_stages(machine):
    assert machine.run("released", "goal", "long")[0] == 0
    *settings, target = machine.log()[-1].removeprefix("-m pipeline.parallel -S ").split(" -S ")
    assert settings == [
        "scale=paper",
        "benchmark=libero",
        "looks=published",
        "demonstrations=hub",
        "demonstrations_folder=null",
        "suites=[goal,long]",
    ]
    assert target == "released=[released_256,released_512] released"
    machine.run("released")
    assert "suites=[spatial,object,goal,long]" in machine.log()[-1]


def test_released_refuses_another_suite_before_anything_is_changed(machine):
    line = "run: unknown suite 'gaol'; known: spatial, object, goal, long"
    assert machine.run("released", "spatial", "gaol") == (1, line)
    assert not [line for line in machine.log() if "parallel" in line]


def test_a_plan_needs_no_repository_and_says_by_its_exit_code_whether_all_fits(machine):
    assert machine.run("plan", "--scale", "paper")[0] == 1
    assert machine.log()[-1] == "-m worldvla.plan --scale paper"
    assert not (machine.checkout / ".git").exists()


def test_serving_and_pushing_pass_their_arguments_on_and_need_no_repository(machine):
    assert machine.run("serve", "action-goal", "--port", "9000")[0] == 0
    assert machine.log()[-1] == "-m worldvla.serving action-goal --port 9000"
    assert machine.run("push", "action-goal", "someone/goal", "--upload")[0] == 0
    assert machine.log() == ["-m worldvla.push action-goal someone/goal --upload"]
    assert not (machine.checkout / ".git").exists()


def test_the_exit_code_of_the_tests_is_passed_on(machine):
    assert machine.run("test", "-k", "two words")[0] == 3
    assert machine.log()[-1] == (
        "-m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder -k two words"
    )


def test_a_change_of_the_pinned_versions_installs_again_into_the_same_venv(machine):
    machine.run("setup")
    machine.log()
    with (machine.checkout / "constraints.txt").open("a") as stream:
        stream.write("x==1\n")
    machine.run("setup")
    assert [line.split()[0] for line in machine.log()] == ["-m", "-m", "-m"]


def test_a_checkout_that_was_moved_gets_a_new_venv(machine):
    machine.run("setup")
    machine.log()
    machine.checkout = machine.checkout.rename(machine.folder / "elsewhere")
    machine.run("setup")
    assert machine.log()[0] == "venv"


def test_the_environment_of_another_folder_is_not_emptied_through_a_link(machine):
    machine.run("setup")
    machine.log()
    environment = machine.checkout / ".venv"
    machine.checkout = shutil.copytree(
        machine.checkout, machine.folder / "second", ignore=shutil.ignore_patterns(".venv")
    )
    (machine.checkout / ".venv").symlink_to(environment)
    code, line = machine.run("setup")
    assert code == 1
    assert line.startswith(f"run: '.venv' is a link to '{environment}', which holds an environment of another folder;")
    assert (environment / "bin" / "python").exists()
    assert not machine.log()


def test_a_failed_installation_is_not_taken_for_a_set_up(machine):
    (machine.folder / "lacks_network").touch()
    code, line = machine.run("setup")
    assert code == 1
    assert line == (
        "run: installing failed, see above; check the network and the disk, then run the same command again"
    )
    (machine.folder / "lacks_network").unlink()
    machine.log()
    assert machine.run("setup")[0] == 0
    assert len(machine.log()) == 3


def test_without_a_python_one_sentence_says_so(machine):
    (machine.folder / "bin" / "python3").unlink()
    assert machine.run("test") == (
        1,
        "run: found no Python 3.10 to 3.13 on the PATH, for which the pinned packages exist; install one and run this again",
    )


@pytest.mark.parametrize(
    ("lack", "message"),
    [
        (
            "lacks_venv",
            "run: Python's module venv is missing. "
            "On Debian or Ubuntu install it with: sudo apt-get install python3.11-venv",
        ),
        (
            "lacks_renderer",
            "run: the software renderer OSMesa or EGL is missing. On Debian or Ubuntu install it with: sudo apt-get install "
            "libosmesa6 (or, where there is no such package: sudo apt-get install libegl1 libgl1 libgl1-mesa-dri)",
        ),
    ],
)
def test_what_we_may_not_install_is_named_with_the_command(machine, lack, message):
    (machine.folder / lack).touch()
    assert machine.run("setup") == (1, message)


@pytest.mark.parametrize("lack", ["lacks_venv", "lacks_renderer"])
def test_what_we_may_install_is_installed_without_a_question(machine, lack):
    (machine.folder / lack).touch()
    machine.program("id", "#!/bin/sh\necho 0\n")
    machine.program("apt-get", APT_GET)
    assert machine.run("setup")[0] == 0
    update, install, *_ = machine.log()
    assert "update" in update
    assert "-y install" in install


def test_another_command_is_refused_with_the_usage(machine):
    assert machine.run("reprodcue") == (1, "run: unknown command 'reprodcue'")
    assert machine.run() == (0, "  check       the same, and the fast tests; five minutes")
    assert machine.log() == []


def test_the_script_is_executable():
    assert os.access(REPOSITORY / "run", os.X_OK)
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
