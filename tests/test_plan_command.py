"""The command that plans: which machine it plans for, what it prints, and its exit code."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from resolve_project import REPOSITORY, SCALES, copy_project, edit

from benchmarks.paper_scale import device
from worldvla import plan
from worldvla.running import devices
from worldvla.running.devices import known_device
from worldvla.running.machine import Machine

H100 = device("H100")


def test_the_gpu_is_this_machine_s_or_the_one_that_machine_yaml_names(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def nvidia_smi(command, **_):
        return SimpleNamespace(stdout="GPU 0: NVIDIA L4 (UUID: 1)\n" if "-L" in command else "NVIDIA L4, 23034\n")

    monkeypatch.setattr(devices.subprocess, "run", nvidia_smi)
    here = plan.place(Machine())
    assert (here.gpu, here.num_gpus) == (dataclasses.replace(device("L4"), memory=23034 * 2**20), 1)
    elsewhere = plan.place(Machine(gpu="H100", executor="slurm", memory_gb=64))
    assert (elsewhere.gpu, elsewhere.num_gpus, elsewhere.memory) == (H100, None, 64e9)
    with pytest.raises(
        ValueError, match=r"nothing is known of the GPU 'H1OO'; expected one of B200, .*; name the nearest"
    ):
        plan.place(Machine(gpu="H1OO"))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
    ],
)
def test_a_gpu_is_known_by_its_name(name, known):
    assert known_device(name) == device(known)
    assert known_device("Tesla K80") is None


@pytest.fixture
def run_plan(tmp_path, monkeypatch, capsys):
    """Return the command, in a folder with a copy of params.yaml and conf/, on a machine without a GPU: exit code and both streams."""
    copy_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "gpu_names", list)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["plan", *arguments])
        try:
            plan.main()
        except SystemExit as end:
            return 1, capsys.readouterr().out, str(end)
        return 0, capsys.readouterr().out, ""

    return run


def test_it_prints_and_exits_with_0_if_all_fits(run_plan):
    code, out, error = run_plan("--scale", "smoke")
    assert (code, error) == (0, "")
    assert out.startswith("Scale `smoke`, benchmark `mini`, scripted demonstrations, suites goal: 38 trainings")


def test_it_exits_with_1_and_a_sentence_for_all_that_does_not_fit(run_plan):
    code, out, error = run_plan("--scale", "paper", "table3")
    assert code == 1
    assert out.startswith("Scale `paper`")
    assert all(line.startswith("plan: ") for line in error.splitlines())
    assert "7.0 B weights need" in error


def test_faults_of_params_are_those_of_resolve(run_plan):
    edit("params.yaml", chunk=0)
    assert run_plan() == (1, "", "plan: params.yaml: chunk is 0; expected at least 1")
    edit("params.yaml", chunk=None)
    known = ", ".join(SCALES)
    expected = f"plan: params.yaml: scale is 'papre'; the files of conf/ give: {known}"
    assert run_plan("--scale", "papre") == (1, "", expected)


def test_a_scale_of_one_s_own_is_counted_with_what_params_say(run_plan):
    Path("conf/own.yaml").write_text(Path("conf/mini.yaml").read_text())
    code, out, _ = run_plan("--scale", "own", "table3")
    assert code == 0
    assert out.startswith("Scale `own`, benchmark `mini`")


def test_the_module_is_a_command(tmp_path):
    copy_project(tmp_path)
    command = [sys.executable, "-m", "worldvla.plan", "--scale", "smoke", "table6"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "smoke" in done.stdout
