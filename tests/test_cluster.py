"""Workers as jobs of a cluster, through submitit: its own local executor, and a cluster that this machine plays."""

import os
import subprocess

import fake_slurm
import pytest
import toy_units
from test_units import SQUARES, TESTS, log, run, stage, wait_for

from worldvla.running import cluster, units
from worldvla.running.cluster import ClusterWorkers

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder to run in, whose machine has a cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    monkeypatch.setattr(cluster, "ASK_EVERY_S", 0.5)
    (tmp_path / "machine.yaml").write_text(
        "executor: slurm\nworkers: 2\npartition: cpu\nmemory_gb: 4\nhours: 2\nslurm: {account: vision}\n"
    )
    return tmp_path


@pytest.fixture
def slurm(folder, monkeypatch):
    """Return the folder of a cluster that this machine plays."""
    played = fake_slurm.install(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]))
    monkeypatch.setenv(fake_slurm.CLUSTER, str(played))
    return played


def test_submitit_s_local_executor_does_the_units(folder, monkeypatch):
    def local(machine, job, ledger, num_open):
        return ClusterWorkers(machine, job, num_open, cluster="local")

    monkeypatch.setattr(units, "start_workers", local)
    assert run(folder) == SQUARES


def test_a_cluster_does_the_units_as_one_array_of_workers_with_what_machine_yaml_asks_for(folder, slurm, capsys):
    assert run(folder) == SQUARES
    script = (slurm / "script").read_text()
    for line in ("--array=0-1", "--partition=cpu", "--mem=4GB", "--time=120", "--account=vision", "--cpus-per-task=1"):
        assert f"#SBATCH {line}" in script
    assert "--gpus" not in script
    assert "submitted 2 workers as job 4711; their logs: " in capsys.readouterr().out
    assert [line.split()[0] for line in (slurm / "calls").read_text().splitlines()].count("sbatch") == 1


def test_what_the_cluster_refuses_is_said_in_its_words(folder, slurm):
    (slurm / "mood").write_text("refuse")
    with pytest.raises(
        ValueError, match=r"the cluster did not take 2 workers .*invalid partition specified: nowhere.*"
    ):
        run(folder)


def test_a_machine_without_a_cluster_says_so(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(
        ValueError, match=r"the cluster did not take 2 workers \(.*srun.*expected sbatch to accept what"
    ):
        run(folder)


def test_workers_that_are_killed_for_time_fail_the_stage_and_the_next_run_does_the_rest(folder, slurm):
    (slurm / "mood").write_text("timeout")
    with pytest.raises(
        ValueError, match=r"all 2 workers of the cluster have ended \(TIMEOUT\), and not all units are done"
    ):
        run(folder)
    (slurm / "mood").write_text("")
    assert run(folder) == SQUARES


def test_a_worker_that_is_preempted_gives_its_unit_back_and_comes_again(folder, slurm):
    (folder / "0").write_text("wait")
    (folder / "6").write_text("wait")  # the first unit of the other: only after the signal is anything done
    (slurm / "mood").write_text("preempt")
    running = stage(folder)
    wait_for(lambda: (folder / "0").read_text() == "" == (folder / "6").read_text())
    (slurm / "now").touch()
    wait_for(lambda: len(log(folder)) > 6)
    running.kill()
    subprocess.run(["scancel", fake_slurm.JOB], check=True)
    calls = (slurm / "calls").read_text()
    assert "scontrol requeue 4711_0" in calls
    job = folder / "work/toy/0123456789abcdef"
    assert '"state": "released"' in (job / "leases/000000.1").read_text()
    assert running.wait() == -9
    assert [path.read_text() for path in toy_units.results(folder)] == SQUARES
