"""A training step against the obvious one, side by side on one thread.

    python -m benchmarks.training

Both take the same samples through the same weights, in bf16 where this machine trains in it. ``obvious`` is the step of
f98df65: transformers' Chameleon with eager attention under autocast, one forward per kind of answer, dense masks, all logits at
once. Each has a process of its own, for ours keeps the memory that it frees; they take turns.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.random_models import random_model
from benchmarks.theirs import additive, theirs
from worldvla.masks import SHARED, mask_of
from worldvla.model import placement
from worldvla.model.allocation import keep_memory
from worldvla.model.batches import Batch, collate
from worldvla.model.config import ChameleonConfig
from worldvla.model.losses import AnswerLoss
from worldvla.sequences import Sample, action_sample, world_sample
from worldvla.vocabulary import Vocabulary, compact

IDS = compact(num_text=400, num_codes=512)
MINI = ChameleonConfig(IDS.size, hidden_size=128, num_layers=3, num_heads=2, intermediate_size=352)
ALPHA, Z_WEIGHT, BATCH, ROUNDS, BURST = 0.28, 1e-5, 16, 20, 4
# Chunk, mask, and whether every second sample is one of the world model.
CASES = {
    "K = 1": (1, "causal", False),
    "K = 5": (5, "action", False),
    "K = 10": (10, "action", False),
    "K = 1, joint": (1, "causal", True),
    "K = 5, joint": (5, "action", True),
}


def samples(chunk: int, joint: bool) -> list[Sample]:
    """Return the samples of a step: two frames of 36 codes, instructions of 10 to 15 tokens."""
    random = np.random.default_rng(0)
    drawn = []
    for number in range(BATCH):
        text = random.integers(0, 400, random.integers(10, 16)).tolist()
        codes, bins = random.integers(0, 512, (2, 36)), random.integers(0, 256, (chunk, 7))
        world = joint and number % 2 == 1
        drawn.append(world_sample(IDS, text, codes, bins[:1]) if world else action_sample(IDS, text, codes, bins))
    return drawn


def our_loss(compute: torch.dtype) -> tuple[nn.Module, Callable[[list[Batch]], Tensor]]:
    """Return our model, and its loss of a step."""
    keep_memory()
    model = random_model(MINI).train()
    model.compute = compute
    answer_loss = AnswerLoss(IDS, ALPHA, "release", Z_WEIGHT)

    def loss(batches: list[Batch]) -> Tensor:
        hidden = model(*(batch.part for batch in batches))
        return answer_loss(hidden, [batch.targets for batch in batches], model.lm_head).total

    return model, loss


def obvious_loss(compute: torch.dtype) -> tuple[nn.Module, Callable[[list[Batch]], Tensor]]:
    """Return transformers' model with the same weights, and the same loss the obvious way."""
    model = theirs(random_model(MINI)).train()

    def loss(batches: list[Batch]) -> Tensor:
        with torch.autocast("cpu", compute, enabled=compute is not torch.float32):
            states = []
            for batch in batches:
                lanes = torch.full_like(batch.tokens, SHARED) if batch.lanes is None else batch.lanes
                mask = additive(mask_of(lanes), compute)
                hidden = model.model(input_ids=batch.tokens, attention_mask=mask, use_cache=False).last_hidden_state
                states.append(hidden[torch.arange(len(hidden))[:, None], batch.rows].flatten(0, 1))
            logits = model.lm_head(torch.cat(states)).float()
        targets = torch.cat([batch.targets.flatten() for batch in batches])
        weights = torch.where(is_code(IDS, targets), ALPHA, 1.0)
        errors = F.cross_entropy(logits, targets, reduction="none")
        return (weights / weights.sum() * errors).sum() + Z_WEIGHT * logits.logsumexp(-1).square().mean()

    return model, loss


def is_code(ids: Vocabulary, tokens: Tensor) -> Tensor:
    """Return which tokens are codes."""
    return (tokens >= ids.first_code) & (tokens < ids.first_code + ids.num_codes)


def serve(way: str, commands: Connection) -> None:
    """Run bursts of steps as asked; answer with the seconds of a step and the first loss."""
    torch.set_num_threads(1)
    compute = placement.training(torch.device("cpu"))
    model, loss_of = our_loss(compute) if way == "ours" else obvious_loss(compute)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)  # the same weights in every burst
    drawn = {name: (samples(chunk, joint), mask) for name, (chunk, mask, joint) in CASES.items()}
    while name := commands.recv():
        losses, started = [], time.process_time()
        for _ in range(BURST):
            loss = loss_of(collate(*drawn[name]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        commands.send(((time.process_time() - started) / BURST, losses[0]))


def main() -> None:
    """Print a table."""
    context = multiprocessing.get_context("spawn")
    ends = {}
    for way in ("ours", "obvious"):
        ends[way], theirs_end = context.Pipe()
        context.Process(target=serve, args=(way, theirs_end), daemon=True).start()
    compute = placement.training(torch.device("cpu"))
    print(
        f"{'samples':14} {'ours ms':>8} {'obvious ms':>11} {'ratio':>6}    (per step of {BATCH}, one thread, {compute})"
    )
    for name in CASES:
        seconds: dict[str, list[float]] = {way: [] for way in ends}
        losses = {}
        for _ in range(ROUNDS):
            for way, end in ends.items():
                end.send(name)
                spent, losses[way] = end.recv()
                seconds[way].append(spent)
        assert abs(losses["ours"] - losses["obvious"]) < 2e-3 * losses["obvious"], losses
        ours, obvious = (statistics.median(seconds[way][2:]) for way in ("ours", "obvious"))
        print(f"{name:14} {ours * 1e3:8.1f} {obvious * 1e3:11.1f} {obvious / ours:6.2f}", flush=True)
    for end in ends.values():
        end.send(None)


if __name__ == "__main__":
    main()
