"""Training of one run: on a CPU deterministic, and resumable bit for bit."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from worldvla.model import placement, weights
from worldvla.model.allocation import keep_memory
from worldvla.model.batches import Batch, Windows, batch_indices, collate
from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.losses import CLASSES, AnswerLoss, Loss
from worldvla.model.size import Size, work_of
from worldvla.params.train import TrainParams
from worldvla.running.console import Progress
from worldvla.running.unfinished import Clock, checkpoint_file, read_checkpoint
from worldvla.running.watchable import Curve
from worldvla.vocabulary import Vocabulary

VALIDATION_SAMPLES = 256
# Column of a validation -> column of a training step.
VALIDATED = {"validation_loss": "cross_entropy", **{f"validation_{name}": name for name in CLASSES}}
INITIAL_STD = 0.02  # Chameleon's initial standard deviation of weights


@dataclass
class Trained:
    """A trained model, the rows of its curve (see ``train``), and the seconds of all its sittings."""

    model: Chameleon
    curve: list[dict[str, Any]]
    seconds: float


def learning_rate(params: TrainParams, step: int) -> float:
    """Return the rate of a step: linear warm-up, constant, linear to zero from ``decay_start`` of all steps on."""
    warm = min(1.0, (step + 1) / max(1, params.warmup_steps))
    start = params.decay_start * params.num_steps
    decay = 1.0 if step < start else (params.num_steps - step) / max(1.0, params.num_steps - start)
    return params.learning_rate * min(warm, decay)


def train(
    params: TrainParams,
    ids: Vocabulary,
    codebook: np.ndarray,
    samples: Windows,
    validation: Windows | None,
    work: Path,
    start: Path | None = None,
    seen: Path | None = None,
) -> Trained:
    """Train a model; fp32 weights, bf16 arithmetic where the hardware has it.

    A checkpoint goes to ``work`` every ``checkpoint_every`` steps; if one is there, training goes on from it and ends
    with the same weights as if it had not been interrupted (on a CPU; a GPU's sums have no fixed order). ``work`` must be
    named after everything that decides the result, and is the caller's to delete.

    Args:
        params: sizes and schedule.
        ids: the vocabulary.
        codebook: [num_codes, dim] of the image tokenizer; the codes' embeddings start as its projection, so that
            similar patches begin as similar tokens.
        samples: what to train on.
        validation: held-out samples, if there are any; at most 256, evenly spaced, are scored.
        work: folder for checkpoints.
        start: folder of a model whose weights are the initial ones, of published ones if the params name a ``base``; random
            ones without it.
        seen: where a person sees the curve while it grows (``worldvla.running.watchable``); nowhere without it.

    Returns:
        The model and one row per step: ``CURVE`` of ``worldvla.model.saving`` names the columns; a class that the batch
        does not have, and a validation that was not due, are None.

    Raises:
        ValueError: ``start`` is a model of other sizes, the params lack what images weigh, or the loss is not finite.
    """
    keep_memory()
    torch.set_num_threads(params.threads)
    device = placement.device()
    torch.manual_seed(params.seed)
    model = _initial(params, ids, codebook, start, device).train()
    model.compute = placement.training(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, betas=(0.9, 0.95), weight_decay=params.weight_decay, fused=True
    )
    answer_loss = AnswerLoss.of(ids, params)
    held_out = _evenly_spaced(validation, params, device) if validation else []

    def loss_of(batches: list[Batch]) -> Loss:
        hidden = model(*(batch.part for batch in batches))
        return answer_loss(hidden, [batch.targets for batch in batches], model.lm_head)

    curve, clock = _resume(work, model, optimizer, device), Clock(work)
    watched, size = Curve(seen, params.num_steps, curve, device), Size.of(model.config)
    total = params.num_steps * params.batch
    bar = Progress(total=total, initial=len(curve) * params.batch, desc="train", unit="sample")
    for step in range(len(curve), params.num_steps):
        rate = learning_rate(params, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = batch_indices(len(samples), params.batch, step, params.seed)
        drawn = [samples[index] for index in chosen]
        parts = collate(drawn, params.mask)
        if params.dropout:
            # What is dropped follows from the step alone, so that a resumed training drops the same.
            torch.manual_seed(int(np.random.SeedSequence([params.seed, step]).generate_state(1)[0]))
        loss = loss_of([part.to(device) for part in parts])
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), params.clip)
        optimizer.step()
        row = {"step": step + 1, "learning_rate": rate, **_row(loss), **dict.fromkeys(VALIDATED)}
        if row["loss"] is None:
            raise ValueError(f"train step {step + 1}: the loss is not finite; lower train.learning_rate in conf/")
        if held_out and ((step + 1) % params.validate_every == 0 or step + 1 == params.num_steps):
            row |= _validate(model, held_out, loss_of)
        bar.set_postfix({"loss": f"{row['loss']:.3f}", **watched.note(row, *work_of(drawn, size))}, refresh=False)
        curve.append(row)
        bar.update(params.batch)
        clock.note()
        # After the last step, too: what follows may be interrupted as well.
        if (step + 1) % params.checkpoint_every == 0 or step + 1 == params.num_steps:
            _save(work, model, optimizer, curve)
    bar.close()
    watched.close()
    return Trained(model.to("cpu").eval(), curve, clock.seconds())


def check(params: TrainParams, ids: Vocabulary, start: Path | None) -> ChameleonConfig:
    """Return the sizes of a run's model, if it can be trained here; before any weight is read.

    Args:
        params: sizes and schedule.
        ids: the vocabulary.
        start: folder of the model to start from, of which only the config is read.

    Raises:
        ValueError: the model to start from has other sizes, or the memory is too small.
    """
    config = ChameleonConfig(
        ids.size, params.hidden_size, params.num_layers, params.num_heads, params.intermediate_size
    )
    if start is not None and (found := weights.read_config(start)) != config:
        raise ValueError(
            f"{start}: got a model of {found}, expected {config}; it was trained with other sizes; correct train in conf/"
        )
    device = placement.device()
    dtype = placement.training(device)
    logits = placement.logits_bytes(config, params.batch * ids.num_codes, device)
    placement.check_room(config, placement.TRAINING[dtype], logits, device, "train")
    return config


def _initial(
    params: TrainParams, ids: Vocabulary, codebook: np.ndarray, start: Path | None, device: torch.device
) -> Chameleon:
    """Return the model before its first step."""
    config = check(params, ids, start)
    if start is not None:
        model = weights.load(start, device, torch.float32, params.dropout)
        if params.base is not None:
            # As the release began (its `starting_point`).
            with torch.no_grad():
                model.lm_head.weight[ids.first_code : ids.first_code + ids.num_codes] = 0
        return model
    with torch.device("meta"):
        model = Chameleon(config, params.dropout)
    model.to_empty(device="cpu")  # one generator for every device
    _initialise(model, ids, codebook)
    return model.to(device)


@torch.no_grad()
def _initialise(model: Chameleon, ids: Vocabulary, codebook: np.ndarray) -> None:
    """Draw the weights from torch's global random state; embeddings of codes as a projection of the codebook."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            nn.init.normal_(parameter, std=INITIAL_STD)
    table = torch.from_numpy(codebook)
    table = (table - table.mean(dim=0)) / table.std(dim=0).clamp_min(1e-6)
    projection = torch.randn(table.shape[1], model.config.hidden_size) / table.shape[1] ** 0.5
    model.model.embed_tokens.weight[ids.first_code : ids.first_code + len(table)] = table @ projection * INITIAL_STD


def _row(loss: Loss) -> dict[str, float | None]:
    """Return the parts of a loss by column; what is not a number is None."""
    values = torch.cat(
        [torch.stack([loss.total.detach(), loss.cross_entropy.detach(), loss.z.detach()]), loss.means, loss.shares]
    )
    names = ["loss", "cross_entropy", "z", *CLASSES, *(f"{name}_share" for name in CLASSES)]
    return {name: value if math.isfinite(value) else None for name, value in zip(names, values.tolist(), strict=True)}


def _evenly_spaced(validation: Windows, params: TrainParams, device: torch.device) -> list[list[Batch]]:
    """Return at most 256 held-out samples in batches, each in parts like a batch of training.

    The samples stand kind by kind: each batch takes every n-th, so that it mixes the kinds in proportion, and the loss
    is the one that is trained.
    """
    chosen = np.linspace(0, len(validation) - 1, min(VALIDATION_SAMPLES, len(validation))).astype(int)
    num_batches = max(1, len(chosen) // 32)
    groups = [[validation[index] for index in chosen[first::num_batches]] for first in range(num_batches)]
    return [[part.to(device) for part in collate(group, params.mask)] for group in groups]


@torch.no_grad()
def _validate(
    model: Chameleon, batches: list[list[Batch]], loss_of: Callable[[list[Batch]], Loss]
) -> dict[str, float | None]:
    """Return the mean over the batches: the cross-entropy, and that of each class over the batches that have it."""
    model.eval()
    rows = [_row(loss_of(parts)) for parts in batches]
    model.train()
    measured = {new: [value for row in rows if (value := row[old]) is not None] for new, old in VALIDATED.items()}
    return {name: sum(values) / len(values) if values else None for name, values in measured.items()}


def _save(work: Path, model: Chameleon, optimizer: torch.optim.Optimizer, curve: list[Any]) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curve": curve}
    with checkpoint_file(work / "checkpoint.pt") as stream:
        torch.save(state, stream)


def _resume(
    work: Path, model: Chameleon, optimizer: torch.optim.Optimizer, device: torch.device
) -> list[dict[str, Any]]:
    """Load the checkpoint, if there is one; return the curve so far."""
    # For a GPU mapped, not read: no second model and optimizer, there or here.
    path, mapped = work / "checkpoint.pt", device.type != "cpu"
    state = read_checkpoint(path, lambda path: torch.load(path, map_location="cpu", weights_only=True, mmap=mapped))
    if state is None:
        return []
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"train: going on from step {len(state['curve'])} ({path})")
    return state["curve"]
