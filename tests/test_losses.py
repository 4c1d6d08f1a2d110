"""The training loss against plain formulas, token by token."""

import pytest
import torch
from small_models import small
from test_model import IDS, drawn_world, sample
from torch.nn import functional as F

from worldvla.model import cross_entropy
from worldvla.model.batches import collate
from worldvla.model.losses import CLASSES, AnswerLoss


@pytest.fixture
def model():
    return small(IDS.size)


def loss_of(model, batches, answer_loss):
    hidden = model(*(batch.part for batch in batches))
    return answer_loss(hidden, [batch.targets for batch in batches], model.lm_head)


def mixed_batches():
    """Two action samples and a world sample."""
    return collate([sample(), sample(images=2), drawn_world()], "action")


def by_hand(model, batches):
    """Return (kind, cross-entropy, squared log-partition) of every answered token, one by one."""
    logits = model.lm_head(model(*(batch.part for batch in batches)))
    found = []
    for row, target in zip(logits, torch.cat([batch.targets.flatten() for batch in batches]).tolist(), strict=True):
        partition = row.logsumexp(-1)
        # The world sample has 7 answered tokens, an action sample 19: its tokens come first.
        kind = "action" if len(found) >= 7 else "code" if target >= IDS.first_code else "structure"
        found.append((kind, partition - row[target], partition**2))
    return found


@torch.no_grad()
def test_loss_of_the_release_weighs_each_code_in_one_weighted_mean(model):
    batches = mixed_batches()
    loss = loss_of(model, batches, AnswerLoss(IDS, 0.04, "release", z_weight=1e-5))
    found = by_hand(model, batches)
    assert [sum(kind == name for kind, *_ in found) for name in CLASSES] == [2 * 19, 4, 3]
    weights = [0.04 if kind == "code" else 1.0 for kind, *_ in found]
    expected = torch.stack([w * error for w, (_, error, _) in zip(weights, found, strict=True)]).sum() / sum(weights)
    assert torch.allclose(loss.cross_entropy, expected, atol=1e-6)
    assert torch.allclose(loss.z, torch.stack([z for *_, z in found]).mean(), atol=1e-5)
    assert torch.allclose(loss.total, loss.cross_entropy + 1e-5 * loss.z)
    for name, mean, share in zip(CLASSES, loss.means, loss.shares, strict=True):
        errors = torch.stack([error for kind, error, _ in found if kind == name])
        assert torch.allclose(mean, errors.mean(), atol=1e-5)
        weight = 0.04 if name == "code" else 1.0
        assert torch.allclose(share, weight * errors.sum() / sum(weights) / loss.cross_entropy, atol=1e-5)


@torch.no_grad()
def test_loss_of_the_paper_adds_alpha_times_the_mean_of_image_answers(model):
    batches = mixed_batches()
    loss = loss_of(model, batches, AnswerLoss(IDS, 0.04, "paper", z_weight=0.0))
    found = by_hand(model, batches)
    actions = torch.stack([error for kind, error, _ in found if kind == "action"]).mean()
    images = torch.stack([error for kind, error, _ in found if kind != "action"]).mean()
    assert torch.allclose(loss.total, actions + 0.04 * images, atol=1e-6)
    assert torch.allclose(loss.shares.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("alpha_on", ["release", "paper"])
def test_a_batch_of_one_kind_has_a_finite_loss_and_no_mean_of_the_other(model, alpha_on):
    loss = loss_of(model, collate([sample()], "action"), AnswerLoss(IDS, 0.04, alpha_on, z_weight=1e-5))
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert loss.means.isfinite().tolist() == [True, False, False]
    assert loss.shares.tolist() == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize("block", [1, 5 * 40, 2**18])
def test_in_blocks_loss_and_gradients_are_those_of_all_logits_at_once(monkeypatch, block):
    monkeypatch.setitem(cross_entropy.BLOCK, "cpu", block)
    random = torch.Generator().manual_seed(0)
    hidden, head = (torch.randn(size, 8, generator=random, requires_grad=True) for size in (23, 40))
    targets = torch.randint(0, 40, (23,), generator=random)
    weights = torch.rand(23, generator=random)
    total, errors, z = cross_entropy.cross_entropy(hidden, head, targets, weights, 0.1)
    ours = torch.autograd.grad(3 * total, (hidden, head))

    logits = hidden @ head.t()
    plain = F.cross_entropy(logits, targets, reduction="none")
    expected_z = logits.logsumexp(-1).square().mean()
    expected = (weights * plain).sum() + 0.1 * expected_z
    for got, want in zip(
        (total, errors, z, *ours),
        (expected, plain, expected_z, *torch.autograd.grad(3 * expected, (hidden, head))),
        strict=True,
    ):
        assert torch.allclose(got, want, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(cross_entropy.cross_entropy(hidden, head, targets, weights, 0.1)[0], total)
