"""A training step of layers of 7 B on one GPU against the release's way, and whether it gives the same bits twice.

    python -m benchmarks.training_seven_billion

Ours is the trainer's own step: its samples, model, loss, and as many tokens at a time as on any GPU. ``released`` is that of
``benchmarks.released_step``. All take the same samples through the same weights, drawn at random. Two numbers of layers fit one card;
their difference is the time of a layer, from which that of all 32 follows. AdamW on all weights is in it as on one card, which several
cards share out; what they tell each other is not.

Utilisation (MFU) counts the work that a step has to do, the head on answered tokens alone and recomputation as none, for both ways.
"""

import contextlib
import functools
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.clock import seconds
from benchmarks.flex import flexible
from benchmarks.paper_scale import experiment
from benchmarks.random_models import random_model
from benchmarks.released_step import released_gradients
from benchmarks.seven_billion import SEVEN_B, SIDES, TEXT, synchronised
from benchmarks.theirs import theirs
from worldvla.costs.stages import trained
from worldvla.model import kernels, placement
from worldvla.model.batches import Windows
from worldvla.model.chameleon import Chameleon, Layer
from worldvla.model.config import ChameleonConfig
from worldvla.model.losses import AnswerLoss
from worldvla.model.ranks import ALONE
from worldvla.model.size import Size, work_of
from worldvla.model.step import BUCKET, Steps
from worldvla.params.train import TrainParams
from worldvla.running.devices import known_device
from worldvla.running.machine import GPU_TOKENS
from worldvla.sequences import Sample, action_sample
from worldvla.vocabulary import CHAMELEON

LAYERS = (2, 4)
LOSS = AnswerLoss(CHAMELEON, 0.04, "release", 1e-5)
CLOSE = 2e-3  # losses of two ways in bf16


@dataclass(frozen=True)
class Sizes:
    """What is trained, with so many tokens at a time."""

    config: ChameleonConfig
    layers: tuple[int, int]
    tokens: int
    device: torch.device

    def samples(self, side: int) -> list[Sample]:
        """Return as many samples of images of a size in px as go through the model at a time: two frames, K = 5."""
        random, history, chunk = np.random.default_rng(0), params().history, params().chunk

        def drawn() -> Sample:
            images = random.integers(0, CHAMELEON.num_codes, (history, (side // 16) ** 2))
            return action_sample(CHAMELEON, TEXT, images, random.integers(0, 255, (chunk, 7)))

        first, bucket = drawn(), BUCKET[self.device.type]
        number = self.tokens // (-(-first.tokens.size // bucket) * bucket)
        return [first, *(drawn() for _ in range(number - 1))]


# Of sizes and samples: a model, and what adds a step's gradients to its weights and returns the loss.
Way = Callable[[Sizes, list[Sample]], tuple[nn.Module, Callable[[], Tensor]]]


@functools.cache
def params() -> TrainParams:
    """Return the paper's action model."""
    return next(run.train for run in trained(experiment("paper")) if run.name == "action_chunk_mask" and run.train)


def ours(
    sizes: Sizes, samples: list[Sample], recompute: bool = True, dropout: float = 0.0, flex: bool = False
) -> tuple[Chameleon, Callable[[], Tensor]]:
    """Return a model, and the trainer's own step without the optimizer's."""
    model = _drawn(sizes).train()
    model.compute = placement.training(sizes.device)
    for layer in model.model.layers:
        assert isinstance(layer, Layer)
        layer.recompute, layer.dropout.p = recompute, dropout
    spread = (ALONE, sizes.device, sizes.tokens, BUCKET[sizes.device.type])
    steps = Steps(model, LOSS, replace(params(), dropout=dropout), *spread)

    def gradients() -> Tensor:
        # Of windows it takes what has an index.
        share = steps.share(cast(Windows, samples), range(len(samples)))
        if not flex:
            return steps.gradients(share, 0).total
        ((batch,),) = share.forwards
        assert batch.lanes is not None, "answered actions have lanes"
        with mock.patch.object(kernels, "attention", flexible(batch.lanes.to(sizes.device))):
            return steps.gradients(share, 0).total

    return model, gradients


def released(sizes: Sizes, samples: list[Sample]) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Return transformers' model with the same weights, and the release's step without the optimizer's."""
    model = theirs(_drawn(sizes))
    return model, released_gradients(model, samples, LOSS, placement.training(sizes.device), sizes.device)


def _drawn(sizes: Sizes) -> Chameleon:
    # Logits of a spread of about 1 at any width, so that losses tell ways apart.
    return random_model(sizes.config, str(sizes.device), std=sizes.config.hidden_size**-0.5)


WAYS: dict[str, Way] = {
    "released": released,
    "ours": ours,
    "ours, dropout": lambda sizes, samples: ours(sizes, samples, dropout=params().dropout),
    "ours, nothing twice": functools.partial(ours, recompute=False),
}
FLEX: dict[str, Way] = {"ours": ours, "ours, flex": functools.partial(ours, flex=True)}


@dataclass(frozen=True)
class Row:
    """A way of training: times in seconds, of two numbers of layers and by calculation of all; None: it does not fit.

    Attributes:
        side: of the images, in px.
        way: how.
        loss: of the fewer layers.
        measured: of a step of each number of layers.
        whole: of a step of all.
        tokens: of a step, paddings not counted.
        flops: of a step of all layers.
        memory: bytes at most, with the more layers; None on a CPU.
        ratio: of the first way's time to this one's; not a number where that does not fit.
    """

    side: int
    way: str
    tokens: int
    flops: float
    loss: float = np.nan
    measured: tuple[float, ...] | None = None
    whole: float = np.nan
    memory: int | None = None
    ratio: float = np.nan

    def line(self, peak: float | None) -> str:
        """Return the row for people; ``peak`` is that of the device in FLOP/s."""
        if self.measured is None:
            return f"{self.side:4} px  {self.way:20} does not fit"
        times = " ".join(f"{time * 1e3:9.1f}" for time in (*self.measured, self.whole))
        used = "-" if peak is None else f"{100 * self.flops / self.whole / peak:.1f}"
        memory = "-" if self.memory is None else f"{self.memory / 1e9:.1f}"
        return f"{self.side:4} px  {self.way:20} {times} {self.tokens / self.whole:9,.0f} {used:>6} {memory:>6} {self.ratio:6.2f}"


def rows(sizes: Sizes, sides: tuple[int, ...], ways: Mapping[str, Way]) -> Iterator[Row]:
    """Yield a row for every size of images in px and every way; their losses are the same to rounding, but for dropout."""
    for side in sides:
        samples, first = sizes.samples(side), next(iter(ways))
        _, tokens, flops = work_of(samples, Size.of(sizes.config))
        compared: Row | None = None
        for name, way in ways.items():
            row = Row(side, name, tokens, flops)
            try:
                few, many = (
                    _timed(replace(sizes, config=replace(sizes.config, num_layers=number)), samples, way)
                    for number in sizes.layers
                )
            except torch.OutOfMemoryError:
                yield row
                continue
            layer = (many[0] - few[0]) / (sizes.layers[1] - sizes.layers[0])
            whole = few[0] + (sizes.config.num_layers - sizes.layers[0]) * layer
            row = replace(row, measured=(few[0], many[0]), whole=whole, loss=few[1], memory=many[2])
            if name == first:
                compared = row
            if compared is not None:
                same = abs(row.loss - compared.loss) < CLOSE * compared.loss
                assert "dropout" in name or same, (name, row.loss, compared.loss)
                row = replace(row, ratio=compared.whole / whole)
            yield row


def _timed(sizes: Sizes, samples: list[Sample], way: Way) -> tuple[float, float, int | None]:
    """Return the seconds of a step, its loss, and the most bytes on a GPU."""
    _forget(sizes.device)
    model, gradients = way(sizes, samples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)  # the same weights in every step
    losses = []

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = gradients()
        nn.utils.clip_grad_norm_(model.parameters(), params().clip)
        optimizer.step()
        losses.append(loss.item())

    spent = seconds(synchronised(functools.partial(step), sizes.device))
    memory = torch.cuda.max_memory_allocated() if sizes.device.type == "cuda" else None
    return spent, losses[0], memory


def _forget(device: torch.device) -> None:
    """Give back the memory of the way before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def determinism(sizes: Sizes, sides: tuple[int, ...]) -> Iterator[str]:
    """Yield, without and with torch's deterministic algorithms, whether a step gives the same bits twice, and its time."""
    few = replace(sizes, config=replace(sizes.config, num_layers=sizes.layers[0]))
    for side in sides:
        _forget(sizes.device)
        model, gradients = ours(few, sizes.samples(side), dropout=params().dropout)
        times = []
        for exact in (False, True):
            with exactly(exact):
                first, second = _gradients(model, gradients), _gradients(model, gradients)
                times.append(seconds(synchronised(functools.partial(gradients), sizes.device)))
            other = [name for name, value in first.items() if not torch.equal(value, second[name])]
            said = "the same bits" if not other else f"{len(other)} of {len(first)} differ, {other[0]} among them"
            cost = f"  {100 * (times[1] / times[0] - 1):+.1f} % of time" if exact else ""
            yield f"{side:4} px  deterministic algorithms {'on' if exact else 'off':3}  {said}{cost}"


@contextlib.contextmanager
def exactly(exact: bool) -> Iterator[None]:
    """Use torch's deterministic algorithms, or not, until the block ends; what nothing has written yet is not filled for it."""
    settings: Any = torch.utils.deterministic
    filled, settings.fill_uninitialized_memory = settings.fill_uninitialized_memory, False
    torch.use_deterministic_algorithms(exact)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        settings.fill_uninitialized_memory = filled


def _gradients(model: Chameleon, gradients: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return the loss and the gradients of a step, by name."""
    model.zero_grad(set_to_none=True)
    loss = gradients()
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    return {"loss": loss.clone(), **found}


def main() -> None:
    """Print three tables."""
    if not torch.cuda.is_available():
        sys.exit("training_seven_billion: no GPU here; expected one of 80 GB with bf16; run it where there is one")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it products have no deterministic algorithm
    name, sizes = torch.cuda.get_device_name(), Sizes(SEVEN_B, LAYERS, GPU_TOKENS, placement.device())
    known = known_device(name)
    print(f"{name}, torch {torch.__version__}, {placement.training(sizes.device)}, {sizes.tokens:,} tokens at a time")
    times = " ".join(f"{f'{number} layers':>9}" for number in (*LAYERS, SEVEN_B.num_layers))
    head = f"{'ms per step':29} {times} {'tokens/s':>9} {'MFU %':>6} {'GB':>6} {'ratio':>6}"
    for ways in (WAYS, FLEX):  # flex last: what it needs of a compiler may be missing
        print(head)
        for row in rows(sizes, SIDES, ways):
            print(row.line(known.flops if known else None), flush=True)
        if ways is WAYS:
            for line in determinism(sizes, SIDES):
                print(line, flush=True)


if __name__ == "__main__":
    main()
