"""Training of one run: deterministic, and resumable bit for bit."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldvla.console import Progress
from worldvla.data.work import checkpoint_file
from worldvla.model import chameleon
from worldvla.model.batches import Batch, Windows, batch_indices, collate_apart
from worldvla.model.losses import CLASSES, AnswerLoss, Loss
from worldvla.params.train import TrainParams
from worldvla.vocabulary import Vocabulary

VALIDATION_SAMPLES = 256
# Column of a validation -> column of a training step.
VALIDATED = {"validation_loss": "cross_entropy", **{f"validation_{name}": name for name in CLASSES}}
CODE_STD = 0.02  # Chameleon's initial standard deviation of an embedding


@dataclass
class Trained:
    """A trained model and the rows of its curve (see ``train``)."""

    model: chameleon.ChameleonForConditionalGeneration
    curve: list[dict[str, Any]]


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
) -> Trained:
    """Train a model; fp32 weights, bf16 arithmetic where the hardware has it.

    A checkpoint goes to ``work`` every ``checkpoint_every`` steps; if one is there, training goes on from it and ends
    with the same weights as if it had not been interrupted. ``work`` must be named after everything that decides the
    result, and is the caller's to delete.

    Args:
        params: sizes and schedule.
        ids: the vocabulary.
        codebook: [num_codes, dim] of the image tokenizer; the codes' embeddings start as its projection, so that
            similar patches begin as similar tokens.
        samples: what to train on.
        validation: held-out samples, if there are any; at most 256, evenly spaced, are scored.
        work: folder for checkpoints.
        start: folder of a trained model whose weights are the initial ones; random ones without it.

    Returns:
        The model and one row per step: ``CURVE`` of ``worldvla.model.saving`` names the columns; a class that the batch
        does not have, and a validation that was not due, are None.

    Raises:
        ValueError: ``start`` is a model of other sizes, the params lack what images weigh, or the loss is not finite.
    """
    torch.set_num_threads(params.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(params.seed)
    model = chameleon.placed(_initial(params, ids, codebook, start), torch.device(device)).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, betas=(0.9, 0.95), weight_decay=params.weight_decay, fused=True
    )
    answer_loss = AnswerLoss.of(ids, params)
    held_out = _evenly_spaced(validation, params, device) if validation else []

    def loss_of(batches: list[Batch]) -> Loss:
        with torch.autocast(device, torch.bfloat16, enabled=_has_bf16(device)):
            hidden = [chameleon.hidden_states(model, batch.tokens, batch.mask) for batch in batches]
            labels = [batch.labels for batch in batches]
            return answer_loss(list(zip(hidden, labels, strict=True)), model.lm_head)

    done, curve = _resume(work, model, optimizer)
    total = params.num_steps * params.batch
    bar = Progress(total=total, initial=done * params.batch, desc="train", unit="sample")
    for step in range(done, params.num_steps):
        rate = learning_rate(params, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = batch_indices(len(samples), params.batch, step, params.seed)
        parts = collate_apart([samples[index] for index in chosen], params.mask)
        loss = loss_of([part.to(device) for part in parts])
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip)
        optimizer.step()
        row = {"step": step + 1, "learning_rate": rate, **_row(loss), **dict.fromkeys(VALIDATED)}
        if row["loss"] is None:
            raise ValueError(f"train step {step + 1}: the loss is not finite; lower train.learning_rate in conf/")
        if held_out and ((step + 1) % params.validate_every == 0 or step + 1 == params.num_steps):
            row |= _validate(held_out, loss_of)
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
        curve.append(row)
        bar.update(params.batch)
        if (step + 1) % params.checkpoint_every == 0 and step + 1 < params.num_steps:
            _save(work, model, optimizer, curve)
    bar.close()
    return Trained(chameleon.placed(model, torch.device("cpu")).eval(), curve)


def _initial(
    params: TrainParams, ids: Vocabulary, codebook: np.ndarray, start: Path | None
) -> chameleon.ChameleonForConditionalGeneration:
    """Return the model before its first step."""
    size = chameleon.ModelSize(params.hidden_size, params.num_layers, params.num_heads, params.intermediate_size)
    model = chameleon.build(size, ids)
    _embed_codes(model, ids, codebook)
    if start is not None:
        trained = chameleon.load(start)
        shapes = {name: tuple(value.shape) for name, value in trained.state_dict().items()}
        for name, value in model.state_dict().items():
            if shapes.get(name) != tuple(value.shape):
                raise ValueError(
                    f"{start}: '{name}' has the shape {shapes.get(name)}, expected {tuple(value.shape)}; it was trained "
                    "with other sizes. Run: dvc repro train"
                )
        model.load_state_dict(trained.state_dict())
    return model


def _row(loss: Loss) -> dict[str, float | None]:
    """Return the parts of a loss by column; what is not a number is None."""
    values = torch.cat(
        [torch.stack([loss.total.detach(), loss.cross_entropy.detach(), loss.z.detach()]), loss.means, loss.shares]
    )
    names = ["loss", "cross_entropy", "z", *CLASSES, *(f"{name}_share" for name in CLASSES)]
    return {name: value if math.isfinite(value) else None for name, value in zip(names, values.tolist(), strict=True)}


def _has_bf16(device: str) -> bool:
    """Return whether bf16 is faster than fp32: on any GPU, and on processors with matrix or vector units for it."""
    if device == "cuda":
        return True
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


@torch.no_grad()
def _embed_codes(model: chameleon.ChameleonForConditionalGeneration, ids: Vocabulary, codebook: np.ndarray) -> None:
    """Write a random projection of the standardised codebook into the codes' embeddings."""
    table = torch.from_numpy(codebook)
    table = (table - table.mean(dim=0)) / table.std(dim=0).clamp_min(1e-6)
    projection = torch.randn(table.shape[1], model.config.hidden_size) / table.shape[1] ** 0.5
    rows = slice(ids.first_code, ids.first_code + len(table))
    model.model.embed_tokens.weight[rows] = (table @ projection * CODE_STD).to(model.device)


def _evenly_spaced(validation: Windows, params: TrainParams, device: str) -> list[list[Batch]]:
    """Return at most 256 held-out samples in batches, each in parts like a batch of training.

    The samples stand kind by kind: each batch takes every n-th, so that it mixes the kinds in proportion, and the loss
    is the one that is trained.
    """
    chosen = np.linspace(0, len(validation) - 1, min(VALIDATION_SAMPLES, len(validation))).astype(int)
    num_batches = max(1, len(chosen) // 32)
    groups = [[validation[index] for index in chosen[first::num_batches]] for first in range(num_batches)]
    return [[part.to(device) for part in collate_apart(group, params.mask)] for group in groups]


@torch.no_grad()
def _validate(batches: list[list[Batch]], loss_of: Callable[[list[Batch]], Loss]) -> dict[str, float | None]:
    """Return the mean over the batches: the cross-entropy, and that of each class over the batches that have it."""
    rows = [_row(loss_of(parts)) for parts in batches]
    measured = {new: [value for row in rows if (value := row[old]) is not None] for new, old in VALIDATED.items()}
    return {name: sum(values) / len(values) if values else None for name, values in measured.items()}


def _save(work: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, Any]]) -> None:
    with checkpoint_file(work / "checkpoint.pt") as stream:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curve": curve}, stream)


def _resume(work: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, list[dict[str, Any]]]:
    """Load the checkpoint, if there is one; return the steps done and the curve so far."""
    path = work / "checkpoint.pt"
    if not path.is_file():
        return 0, []
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"train: going on from step {len(state['curve'])} ({path})")
    return len(state["curve"]), state["curve"]


def forget(work: Path) -> None:
    """Delete the checkpoints of a finished training."""
    shutil.rmtree(work, ignore_errors=True)
