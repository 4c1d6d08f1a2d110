"""Training of one run, by one process or many: on a CPU deterministic, and resumable bit for bit."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from worldvla.model import placement, sharding
from worldvla.model.allocation import keep_memory
from worldvla.model.batches import Windows, batch_indices
from worldvla.model.chameleon import Chameleon
from worldvla.model.checkpoints import Checkpoints, model_facts
from worldvla.model.initial import begin, empty
from worldvla.model.losses import CLASSES, AnswerLoss, Loss
from worldvla.model.optimizers import Optimizers
from worldvla.model.ranks import ALONE, Ranks
from worldvla.model.size import Size, work_of
from worldvla.model.step import BUCKET, Share, Steps
from worldvla.params.train import TrainParams
from worldvla.running.console import Progress
from worldvla.running.unfinished import Clock
from worldvla.running.watchable import Curve
from worldvla.vocabulary import Vocabulary

VALIDATION_SAMPLES = 256
# Column of a validation -> column of a training step.
VALIDATED = {"validation_loss": "cross_entropy", **{f"validation_{name}": name for name in CLASSES}}


@dataclass
class Trained:
    """A trained model, the rows of its curve (see ``train``), and the seconds of all its sittings."""

    model: Chameleon
    curve: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class Spread:
    """How a training is spread over what there is; results are the same to rounding, and what is dropped differs.

    Attributes:
        ranks: the processes that share it.
        tokens: that go through the model at once in a process, at most; None: all samples of a process.
        recompute: whether layers are computed again for the gradients, for memory; the same bits.
        bucket: sequences are padded to the next multiple of so many tokens; None: as suits the device.
    """

    ranks: Ranks = ALONE
    tokens: int | None = None
    recompute: bool = False
    bucket: int | None = None


HERE = Spread()


def share_of_rate(params: TrainParams, step: int, num_steps: int) -> float:
    """Return the share of the peak rates at a step: linear warm-up, 1, linear to zero from ``decay_start`` of all steps on."""
    warm = min(1.0, (step + 1) / max(1, params.warmup_steps))
    start = params.decay_start * num_steps
    return min(warm, 1.0 if step < start else (num_steps - step) / max(1.0, num_steps - start))


def train(
    params: TrainParams,
    ids: Vocabulary,
    codebook: np.ndarray,
    samples: Windows,
    validation: Windows | None,
    work: Path,
    start: Path | None = None,
    spread: Spread = HERE,
    seen: Path | None = None,
) -> Trained | None:
    """Train a model; fp32 weights, bf16 arithmetic where the hardware has it.

    A checkpoint goes to ``work`` every ``checkpoint_every`` steps; if one is there, training goes on from it and ends
    with the same weights as if it had not been interrupted (on a CPU; a GPU's sums have no fixed order), or with the same to
    rounding if it was one of another number of processes. ``work`` must be named after everything that decides the result, and is
    the caller's to delete; of several machines it is on a disk that all see.

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
        spread: the processes that do it together, of which each calls this; one alone by default.
        seen: where a person sees the curve while it grows (``worldvla.running.watchable``); nowhere without it.

    Returns:
        The model and one row per step: ``CURVE`` of ``worldvla.model.saving`` names the columns; a class that the batch
        does not have, and a validation that was not due, are None. None in all processes but the first.

    Raises:
        ValueError: ``start`` is a model of other sizes, the params lack what images weigh, a checkpoint is of another model, or the
            loss is not finite, which all processes see alike.
        OSError: a checkpoint cannot be written, which all processes see alike.
    """
    keep_memory()
    torch.set_num_threads(params.threads)
    device, ranks = placement.device(), spread.ranks
    model = empty(params, ids, start, device, ranks, spread.recompute).train()
    model.compute = placement.training(device)
    optimizers = Optimizers(model, params)
    loss = AnswerLoss.of(ids, params)
    steps = Steps(model, loss, params, ranks, device, spread.tokens, spread.bucket or BUCKET[device.type])
    held_out = _evenly_spaced(validation, steps) if validation else []
    checkpoints = Checkpoints(work, optimizers, ranks, model_facts(model, params.vocabulary))
    curve, clock = checkpoints.resume(), Clock(work)
    if not curve:
        torch.manual_seed(params.seed)
        begin(model, params, ids, codebook, start)
    ranks.end_start()
    num_steps, per_epoch = params.num_steps(len(samples)), max(1, len(samples) // params.batch)
    watched = Curve(seen if ranks.first else None, num_steps, curve, device, ranks.world)
    size = Size.of(model.config)
    total = num_steps * params.batch
    bar = Progress(total=total, initial=len(curve) * params.batch, desc="train", unit="sample", disable=not ranks.first)
    for step in range(len(curve), num_steps):
        rate = share_of_rate(params, step, num_steps)
        share = steps.share(samples, batch_indices(len(samples), params.batch, step, params.seed).tolist())
        found = steps.gradients(share, step)
        nn.utils.clip_grad_norm_(model.parameters(), params.clip)
        optimizers.step(rate)
        done = {"step": step + 1, "epoch": (step + 1) / per_epoch, "learning_rate": rate * params.learning_rate}
        row = {**done, **_row(found), **dict.fromkeys(VALIDATED)}
        if row["loss"] is None:
            checkpoints.wait()  # the last good one is kept
            raise ValueError(f"train step {step + 1}: the loss is not finite; lower train.learning_rate in conf/")
        if held_out and ((step + 1) % params.validate_every == 0 or step + 1 == num_steps):
            row |= _validate(steps, held_out)
        shown = {"epoch": f"{row['epoch']:.2f}", "loss": f"{row['loss']:.3f}"}
        bar.set_postfix(shown | watched.note(row, *work_of(share.own, size)), refresh=False)
        curve.append(row)
        bar.update(params.batch)
        if ranks.first:
            clock.note()
        checkpoints.collect()
        # After the last step, too: what follows may be interrupted as well.
        if (step + 1) % params.checkpoint_every == 0 or step + 1 == num_steps:
            checkpoints.save(curve)
    checkpoints.wait()
    bar.close()
    watched.close()
    whole = sharding.gathered(model, ranks)
    return Trained(whole.eval(), curve, clock.note()) if whole is not None else None


def _row(loss: Loss) -> dict[str, float | None]:
    """Return the parts of a loss by column; what is not a number is None."""
    values = torch.cat(
        [torch.stack([loss.total.detach(), loss.cross_entropy.detach(), loss.z.detach()]), loss.means, loss.shares]
    )
    names = ["loss", "cross_entropy", "z", *CLASSES, *(f"{name}_share" for name in CLASSES)]
    return {name: value if math.isfinite(value) else None for name, value in zip(names, values.tolist(), strict=True)}


def _evenly_spaced(validation: Windows, steps: Steps) -> list[Share]:
    """Return at most 256 held-out samples in batches, each shared out like a batch of training.

    The samples stand kind by kind: each batch takes every n-th, so that it mixes the kinds in proportion, and the loss
    is the one that is trained.
    """
    chosen = np.linspace(0, len(validation) - 1, min(VALIDATION_SAMPLES, len(validation))).astype(int)
    num_batches = max(1, len(chosen) // 32)
    return [steps.share(validation, chosen[first::num_batches].tolist()) for first in range(num_batches)]


def _validate(steps: Steps, batches: list[Share]) -> dict[str, float | None]:
    """Return the mean over the batches: the cross-entropy, and that of each class over the batches that have it."""
    steps.model.eval()
    rows = [_row(steps.measured(share)) for share in batches]
    steps.model.train()
    measured = {new: [value for row in rows if (value := row[old]) is not None] for new, old in VALIDATED.items()}
    return {name: sum(values) / len(values) if values else None for name, values in measured.items()}
