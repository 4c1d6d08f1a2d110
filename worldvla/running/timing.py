"""Wall-clock figures of a stage, kept apart from its results: nothing that a cache depends on may hold them."""

import datetime
import platform
import shutil
import subprocess
from pathlib import Path

from worldvla.files import write_json
from worldvla.running.cores import num_cores_of_machine


def write_timing(path: Path, seconds: float, **found: object) -> None:
    """Write how long a stage took, with what else it found, on which hardware, at which commit and when."""
    record = {
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }
    write_json(path, record | found)


def hardware() -> str:
    """Return the processor, the cores that we may use and the GPU, in words."""
    cores = num_cores_of_machine()
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}, {_gpu()}"


def commit() -> str:
    """Return the short id of the commit, with a note if code or params differ from it; 'unknown' outside a repository."""
    head = _output("git", "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    changed = _output("git", "status", "--porcelain", "--", "worldvla", "pipeline", "conf", "params.yaml")
    return f"{head} with changes" if changed else head


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] != "unknown" else platform.machine()


def _gpu() -> str:
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return ", ".join(names) if names else "no GPU"


def _output(*command: str) -> str:
    """Return what a command prints; nothing if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
