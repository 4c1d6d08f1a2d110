"""Training of one run: deterministic, and resumable bit for bit."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldvla.console import Progress
from worldvla.files import atomic_file
from worldvla.model import chameleon
from worldvla.model.batches import ActionWindows, Batch, batch_indices, collate
from worldvla.model.losses import answer_loss, class_weights
from worldvla.params.train import TrainParams
from worldvla.vocabulary import Vocabulary
from worldvla.workers import num_cores

VALIDATION_SAMPLES = 256
CODE_STD = 0.02  # Chameleon's initial standard deviation of an embedding


@dataclass
class Trained:
    """A trained model and the rows of its curve (see ``train``)."""

    model: chameleon.ChameleonForConditionalGeneration
    curve: list[dict[str, Any]]


def learning_rate(params: TrainParams, step: int) -> float:
    """Return the rate of a step: linear warm-up, constant, linear to zero from ``decay_start`` of all steps on."""
    warm = min(1.0, (step + 1) / max(1, params.warmup_steps))
    start = params.decay_start * params.steps
    decay = 1.0 if step < start else (params.steps - step) / max(1.0, params.steps - start)
    return params.learning_rate * min(warm, decay)


def train(
    params: TrainParams,
    ids: Vocabulary,
    codebook: np.ndarray,
    samples: ActionWindows,
    validation: ActionWindows | None,
    work: Path,
) -> Trained:
    """Train a model from scratch; fp32 weights, bf16 arithmetic where the hardware has it.

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

    Returns:
        The model and one row per step: step, loss, cross_entropy, z, learning_rate, validation_loss (None when not
        measured).
    """
    torch.set_num_threads(num_cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(params.seed)
    size = chameleon.ModelSize(params.hidden_size, params.num_layers, params.num_heads, params.intermediate_size)
    model = chameleon.placed(chameleon.build(size, ids), torch.device(device)).train()
    _embed_codes(model, ids, codebook)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, betas=(0.9, 0.95), weight_decay=params.weight_decay, fused=True
    )
    weights = class_weights(ids, params.image_weight).to(device)
    held_out = _evenly_spaced(validation, params, device) if validation else []

    def loss_of(batch: Batch):
        with torch.autocast(device, torch.bfloat16, enabled=_has_bf16(device)):
            hidden = chameleon.hidden_states(model, batch.tokens, batch.mask)
            return answer_loss(hidden, batch.labels, model.lm_head, weights, params.z_loss)

    start, curve = _resume(work, model, optimizer)
    bar = Progress(total=params.steps * params.batch, initial=start * params.batch, desc="train", unit="sample")
    for step in range(start, params.steps):
        rate = learning_rate(params, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = batch_indices(len(samples), params.batch, step, params.seed)
        loss = loss_of(collate([samples[index] for index in chosen], params.mask).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip)
        optimizer.step()
        row = {"step": step + 1, "loss": loss.total.item(), "cross_entropy": loss.cross_entropy.item()}
        row |= {"z": loss.z.item(), "learning_rate": rate, "validation_loss": None}
        if not np.isfinite(row["loss"]):
            raise ValueError(f"train step {step + 1}: the loss is {row['loss']}; lower train.learning_rate in conf/")
        if held_out and ((step + 1) % params.validate_every == 0 or step + 1 == params.steps):
            row["validation_loss"] = _validate(held_out, loss_of)
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
        curve.append(row)
        bar.update(params.batch)
        if (step + 1) % params.checkpoint_every == 0 and step + 1 < params.steps:
            _save(work, model, optimizer, curve)
    bar.close()
    return Trained(chameleon.placed(model, torch.device("cpu")).eval(), curve)


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


def _evenly_spaced(validation: ActionWindows, params: TrainParams, device: str) -> list[Batch]:
    """Return at most 256 held-out samples in batches."""
    chosen = np.linspace(0, len(validation) - 1, min(VALIDATION_SAMPLES, len(validation))).astype(int)
    groups = np.array_split(chosen, max(1, len(chosen) // 32))
    return [collate([validation[index] for index in group], params.mask).to(device) for group in groups]


@torch.no_grad()
def _validate(batches: list[Batch], loss_of) -> float:
    """Return the mean cross-entropy over the batches."""
    return float(np.mean([loss_of(batch).cross_entropy.item() for batch in batches]))


def _save(work: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, Any]]) -> None:
    with atomic_file(work / "checkpoint.pt") as scratch:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curve": curve}, scratch)


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
