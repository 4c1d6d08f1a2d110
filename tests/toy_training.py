"""The stage train with an image tokenizer that is only a codebook: python -m toy_training, as python -m pipeline.train."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from test_training import NUM_CODES

from pipeline import train as stage
from worldvla.model import checkpoints, placement
from worldvla.model.step import Steps
from worldvla.running import console

FAULT = "TOY_FAULT"  # the environment's variable for what goes wrong: <what>:<rank>:<step>
SLOW_IMPORTS = "imports:0:0"  # of every process, as where the machine is busy

if os.environ.get(FAULT) == SLOW_IMPORTS and "RANK" in os.environ:
    time.sleep(60)


def main(*, params: Path, shards: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    """Train."""
    stage.main(params=params, shards=shards, tokenizer=tokenizer, out=out, timing=timing)


def with_fault(what: str, rank: int, at: int) -> None:
    """Let something go wrong in a process at a step."""
    gradients = Steps.gradients

    def faulty(self, share, step):
        mine = self.ranks.rank == rank
        if step == at and what == "kill" and mine:
            Path("killed").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
        if step == at and what == "error" and mine:
            raise ValueError("out of luck")
        if step == at and what == "nan" and mine:
            with torch.no_grad():
                for parameter in self.model.parameters():
                    parameter.to_local().fill_(float("nan"))
        return gradients(self, share, step)

    Steps.gradients = faulty
    if what == "disk" and int(os.environ["RANK"]) == rank:
        write = checkpoints.FileSystemWriter.write_data

        def full(self, plan, planner):
            if int(self.path.name[6:14]) >= at:
                raise OSError(28, "No space left on device")
            return write(self, plan, planner)

        checkpoints.FileSystemWriter.write_data = full
    if what == "code" and int(os.environ["RANK"]) == rank:
        stage.code_digests = lambda _: {}
    if what == "bf16":
        torch.cuda.is_available = lambda: True
        torch.cuda.is_bf16_supported = lambda including_emulation: False
        torch.cuda.get_device_name = lambda: "an old GPU"
    if what == "memory" and "RANK" in os.environ:
        placement.free_memory = lambda: 10**5


if __name__ == "__main__":
    images = SimpleNamespace(num_codes=NUM_CODES, codebook=np.ones((NUM_CODES, 8), np.float32), digest="vqgan")
    stage.ImageTokenizer = SimpleNamespace(load=lambda _: images)
    if os.environ.get(FAULT) and "RANK" in os.environ:
        given, number, step = os.environ[FAULT].split(":")
        with_fault(given, int(number), int(step))
    console.run(main)
