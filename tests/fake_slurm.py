"""A cluster of this machine: sbatch, srun, sacct, scancel and scontrol, as far as submitit calls them.

Every task of an array is a process group of its own that shares only the folder, with SLURM's variables. ``mood`` in the
cluster's folder says what it does: ``refuse`` the submission, ``timeout`` (end tasks at once, as when their time is up) or
``preempt`` (signal the first task once, as a cluster does that wants its node back).
"""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

CLUSTER = "FAKE_SLURM"
JOB = "4711"


def install(folder: Path) -> Path:
    """Put the commands into a folder for the PATH and return the cluster's own folder."""
    cluster = folder / "cluster"
    for path in (folder / "bin", cluster):
        path.mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel", "scontrol"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return cluster


def main() -> None:
    command, *arguments = sys.argv[1:]
    cluster = Path(os.environ[CLUSTER])
    mood = (cluster / "mood").read_text() if (cluster / "mood").exists() else ""
    with (cluster / "calls").open("a") as calls:
        calls.write(" ".join([command, *arguments]) + "\n")
    if command == "sbatch":
        if mood == "refuse":
            sys.exit("sbatch: error: invalid partition specified: nowhere")
        script = Path(arguments[0])
        (cluster / "script").write_text(script.read_text())
        array = re.search(r"--array=0-(\d+)", script.read_text())
        for task in range(int(array[1]) + 1 if array else 1):
            start(cluster, task if array else None, mood)
        print(f"Submitted batch job {JOB}")
    elif command == "srun":  # a step of a task; only steps are signalled, the batch shell is not
        mine = arguments[arguments.index(sys.executable) :]
        process = subprocess.Popen(mine)
        (cluster / f"{os.environ['TASK']}.step").write_text(str(process.pid))
        sys.exit(process.wait())
    elif command == "sacct":
        print("JobID|State|NodeList")
        for path in sorted(cluster.glob("*.pid")):
            alive = psutil.pid_exists(int(path.read_text()))
            print(f"{path.stem}|{'RUNNING' if alive else 'TIMEOUT' if mood == 'timeout' else 'COMPLETED'}|here")
    elif command == "scancel":
        for path in cluster.glob("*.pid"):
            kill(int(path.read_text()), signal.SIGKILL)
    elif command == "scontrol" and arguments[0] == "requeue":
        number = arguments[1].partition("_")[2]
        start(cluster, int(number) if number else None, "")


def start(cluster: Path, task: int | None, mood: str) -> None:
    """Start a task of the array; a keeper stands for the node's daemon, which reaps it."""
    name = JOB if task is None else f"{JOB}_{task}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SUBMITIT"))}
    environment |= {"SLURM_JOB_ID": JOB, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0"}
    environment |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "here"}
    if task is not None:
        environment |= {"SLURM_ARRAY_JOB_ID": JOB, "SLURM_ARRAY_TASK_ID": str(task)}
    environment["TASK"] = name
    if os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    process = subprocess.Popen(["bash", str(cluster / "script")], env=environment, start_new_session=True)
    (cluster / f"{name}.pid").write_text(str(process.pid))
    if mood == "timeout":
        kill(process.pid, signal.SIGKILL)
    if mood == "preempt" and not task:
        threading.Thread(target=preempt, args=(cluster, name), daemon=True).start()
    process.wait()
    os._exit(0)


def preempt(cluster: Path, name: str) -> None:
    """Signal a task's step when the toy says that it works."""
    while not (cluster / "now").exists():
        time.sleep(0.05)
    os.kill(int((cluster / f"{name}.step").read_text()), signal.SIGUSR2)


def kill(pid: int, signum: int) -> None:
    """Send a signal to a task's processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signum)


if __name__ == "__main__":
    main()
