"""The transformer and its loss against plain formulas and transformers' own forward."""

import numpy as np
import pytest
import torch
from transformers import ChameleonModel

from worldvla.masks import mask_of
from worldvla.model import chameleon
from worldvla.model.batches import batch_indices, collate, collate_apart
from worldvla.model.losses import CLASSES, AnswerLoss
from worldvla.sequences import action_sample, world_sample
from worldvla.vocabulary import compact

IDS = compact(num_text=8, num_codes=16)
SIZE = chameleon.ModelSize(hidden_size=32, num_layers=2, num_heads=2, intermediate_size=64)


def sample(images=1, chunk=2, seed=0):
    random = np.random.default_rng(seed)
    codes = [random.integers(0, 16, 4) for _ in range(images)]
    return action_sample(IDS, [1, 2], codes, random.integers(0, 255, (chunk, 7)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return chameleon.build(SIZE, IDS).eval()


@torch.no_grad()
def test_causal_hidden_states_equal_those_of_transformers(model):
    tokens = torch.randint(1, IDS.size, (2, 12))
    ours = chameleon.hidden_states(model, tokens, torch.ones(1, 12, 12, dtype=torch.bool).tril())
    theirs = model.model(input_ids=tokens, use_cache=False).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-5)


@torch.no_grad()
def test_a_token_that_is_hidden_changes_nothing(model):
    """Changing the first action of a chunk leaves the hidden states of the second alone under the action mask only."""
    original, changed = sample(), sample()
    first, second = original.layout.actions
    changed.tokens[first.start + 1 : first.stop - 1] = IDS.first_bin + 7
    for name, equal in (("action", True), ("causal", False)):
        mask = mask_of(name, original.layout)[None]
        a, b = (chameleon.hidden_states(model, torch.from_numpy(s.tokens)[None], mask) for s in (original, changed))
        assert torch.allclose(a[:, second.start : second.stop], b[:, second.start : second.stop], atol=1e-6) == equal


@torch.no_grad()
def test_padding_does_not_change_a_sample(model):
    short, long = sample(images=1), sample(images=2)
    batch = collate([short, long], "action")
    alone = collate([short], "action")
    padded = chameleon.hidden_states(model, batch.tokens, batch.mask)[:1, : short.tokens.size]
    assert torch.allclose(padded, chameleon.hidden_states(model, alone.tokens, alone.mask), atol=1e-5)
    assert (batch.labels[0, short.tokens.size :] == -100).all()


def mixed_batch():
    """Two action samples and a world sample."""
    random = np.random.default_rng(5)
    codes = [random.integers(0, 16, 4) for _ in range(2)]
    return collate(
        [sample(), sample(images=2), world_sample(IDS, [1, 2], codes, random.integers(0, 255, (1, 7)))], "action"
    )


def by_hand(model, batch):
    """Return (row, kind, cross-entropy, squared log-partition) of every answered token, one by one."""
    logits = model.lm_head(chameleon.hidden_states(model, batch.tokens, batch.mask))
    found = []
    for row, position in (batch.labels[:, 1:] != -100).nonzero().tolist():
        label = int(batch.labels[row, position + 1])
        partition = logits[row, position].logsumexp(-1)
        kind = "action" if row < 2 else "code" if label >= IDS.first_code else "structure"
        found.append((kind, partition - logits[row, position, label], partition**2))
    return found


@torch.no_grad()
def test_loss_of_the_release_weighs_each_code_in_one_weighted_mean(model):
    batch = mixed_batch()
    hidden = chameleon.hidden_states(model, batch.tokens, batch.mask)
    loss = AnswerLoss(IDS, 0.04, "release", z_weight=1e-5)([(hidden, batch.labels)], model.lm_head)
    found = by_hand(model, batch)
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
    batch = mixed_batch()
    hidden = chameleon.hidden_states(model, batch.tokens, batch.mask)
    loss = AnswerLoss(IDS, 0.04, "paper", z_weight=0.0)([(hidden, batch.labels)], model.lm_head)
    found = by_hand(model, batch)
    actions = torch.stack([error for kind, error, _ in found if kind == "action"]).mean()
    images = torch.stack([error for kind, error, _ in found if kind != "action"]).mean()
    assert torch.allclose(loss.total, actions + 0.04 * images, atol=1e-6)
    assert torch.allclose(loss.shares.sum(), torch.tensor(1.0))


@torch.no_grad()
def test_loss_does_not_depend_on_how_the_batch_is_collated(model):
    """Actions and images apart, each without the other's padding, are the same batch."""
    random = np.random.default_rng(6)
    codes = [random.integers(0, 16, 4) for _ in range(2)]
    samples = [sample(images=2), world_sample(IDS, [1, 2], codes, random.integers(0, 255, (1, 7))), sample()]
    answer_loss = AnswerLoss(IDS, 0.04, "release", z_weight=1e-5)

    def loss(batches):
        hidden = [chameleon.hidden_states(model, batch.tokens, batch.mask) for batch in batches]
        return answer_loss(
            [(states, batch.labels) for states, batch in zip(hidden, batches, strict=True)], model.lm_head
        )

    apart = collate_apart(samples, "action")
    assert [batch.tokens.shape for batch in apart] == [(2, 35), (1, 26)]
    assert torch.allclose(loss(apart).total, loss([collate(samples, "action")]).total, atol=1e-6)


@pytest.mark.parametrize("alpha_on", ["release", "paper"])
def test_a_batch_of_one_kind_has_a_finite_loss_and_no_mean_of_the_other(model, alpha_on):
    batch = collate([sample()], "action")
    hidden = chameleon.hidden_states(model, batch.tokens, batch.mask)
    loss = AnswerLoss(IDS, 0.04, alpha_on, z_weight=1e-5)([(hidden, batch.labels)], model.lm_head)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert loss.means.isfinite().tolist() == [True, False, False]
    assert loss.shares.tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_a_boolean_mask_never_reaches_attention():
    mask = chameleon.additive(torch.tensor([[True, False]]), torch.float32)
    assert mask[0, 0] == 0
    assert mask[0, 1] == torch.finfo(torch.float32).min


def test_saved_model_opens_with_transformers_and_with_load(model, tmp_path):
    model.save_pretrained(tmp_path)
    theirs = ChameleonModel.from_pretrained(tmp_path)
    for name, value in theirs.state_dict().items():
        if not name.startswith("vqmodel."):
            assert torch.equal(value, model.model.state_dict()[name]), name
    ours = chameleon.load(tmp_path)
    assert torch.equal(ours.lm_head.weight, model.lm_head.weight)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"no model here, expected config.json and \*.safetensors. Run: dvc repro train"
    ):
        chameleon.load(tmp_path)


def test_every_epoch_is_a_permutation_and_epochs_differ():
    epochs = [np.concatenate([batch_indices(20, 4, step, seed=3) for step in range(5 * e, 5 * e + 5)]) for e in (0, 1)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    with pytest.raises(ValueError, match="got 3 samples, expected at least one batch of 4"):
        batch_indices(3, 4, 0, seed=0)
