"""Many processes train the same model as one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import ACTIONS_ALONE, IDS, NUM_CODES, PARAMS, windows
from together import together
from torch.distributed.tensor import DTensor

from worldvla.model import placement
from worldvla.model.initial import begin, empty
from worldvla.model.losses import AnswerLoss
from worldvla.model.ranks import ALONE, Ranks
from worldvla.model.step import Steps
from worldvla.params.train import TrainParams

CPU = torch.device("cpu")
CODEBOOK = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)
# Layers of a width that four processes do not share evenly.
SIZES = {"num_layers": 2, "hidden_size": 36, "intermediate_size": 66}
JOINT = replace(PARAMS, batch=6, **SIZES)
KINDS = {
    "joint": JOINT,
    "action": replace(ACTIONS_ALONE, batch=6, **SIZES),
    "world": replace(JOINT, samples=("world",)),
    "paper": replace(JOINT, alpha_on="paper"),
    "paper, world": replace(JOINT, samples=("world",), alpha_on="paper"),
    "fewer samples than processes": replace(JOINT, batch=3),
}


@pytest.fixture(autouse=True)
def fp32(monkeypatch):
    monkeypatch.setattr(placement, "training", lambda device: torch.float32)


def gradients(ranks: Ranks, params: TrainParams, tokens: int | None, bucket: int, recompute: bool = False):
    """Return the loss and the gradients of step 3, and the number of forwards."""
    placement.training = lambda device: torch.float32
    model = empty(params, IDS, None, CPU, ranks, recompute).train()
    torch.manual_seed(0)
    begin(model, params, IDS, CODEBOOK, None)
    steps = Steps(model, AnswerLoss.of(IDS, params), params, ranks, CPU, tokens, bucket)
    share = steps.share(windows(0, params), list(range(3, 3 + 7 * params.batch, 7)))
    loss = steps.gradients(share, 3)
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[name] = (parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad).numpy()
    parts = torch.cat([torch.stack([loss.total, loss.cross_entropy, loss.z]).detach(), loss.means, loss.shares])
    return parts.numpy(), found, len(share.forwards)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_one_process(kind):
    params = KINDS[kind]
    loss, expected, forwards = gradients(ALONE, params, None, 1)
    assert forwards == 1
    for world, tokens, bucket, recompute in (
        (2, None, 1, True),
        (4, None, 8, False),
        (2, 40, 1, False),
        (4, 40, 16, True),
    ):
        everywhere = together(world, gradients, params, tokens, bucket, recompute)
        assert len({found[2] for found in everywhere}) == 1
        for parts, found, _ in everywhere:
            assert parts == pytest.approx(loss, rel=1e-6, abs=1e-6, nan_ok=True)
            for name, value in expected.items():
                assert np.abs(found[name] - value).max() < 1e-6, name
