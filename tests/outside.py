"""A served run, and an evaluation of it by the client of ``integrations/openpi`` in a process of its own."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.project_copy import Project
from worldvla.model.trained import TrainedModel


@contextlib.contextmanager
def serving(project: Project, model: Path, tokenizer: Path, batch: int) -> Iterator[str]:
    """Yield the port of a server of a model."""
    command = [sys.executable, "-m", "worldvla.serving", str(model), "--tokenizer", str(tokenizer), "--port", "0"]
    command += ["--batch", str(batch)]
    server = subprocess.Popen(command, cwd=project.folder, env=project.env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith(f"serving {model.name} at ws://127.0.0.1:")
        yield line.split()[3].rsplit(":", 1)[1]
    finally:
        server.terminate()
        server.communicate()


def evaluated(project: Project, model: Path, tokenizer: Path, params: Path, batch: int, out: Path) -> dict[str, bytes]:
    """Return the files that the client writes of the episodes of a run's params."""
    with serving(project, model, tokenizer, batch) as port:
        project.python("-m", "integrations.openpi.evaluate", str(params), "--out", str(out), "--port", port)
    return files(out)


def rolled_out(project: Project, model: Path, tokenizer: Path, params: Path, out: Path) -> dict[str, bytes]:
    """Return the files that the rollout stage writes of a model."""
    given = {"params": params, "model": model, "tokenizer": tokenizer, "out": out, "timing": out.with_suffix(".json")}
    flags = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    project.python("-m", "pipeline.rollout", *flags)
    return files(out)


def files(folder: Path) -> dict[str, bytes]:
    """Return the episodes and films of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".parquet", ".mp4")}


def reacting(model: Path, tokenizer: Path, folder: Path) -> Path:
    """Write a trained model with noise on its weights, whose actions change with every frame; return its folder."""
    ids = TrainedModel.load(model, tokenizer, "action").ids
    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    random = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if "norm" not in name:
            tensor += 0.05 * torch.randn(tensor.shape, generator=random)
    head = tensors["lm_head.weight"]
    head[: ids.first_bin] = 0  # only bins are answered
    head[ids.first_bin + ids.num_bins :] = 0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
