"""The transformer and its loss against plain formulas and transformers' own forward."""

import numpy as np
import pytest
import torch
from transformers import ChameleonModel

from worldvla.masks import mask_of
from worldvla.model import chameleon
from worldvla.model.batches import batch_indices, collate
from worldvla.model.losses import answer_loss, class_weights
from worldvla.sequences import action_sample
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


def test_loss_equals_the_formula(model):
    weights = class_weights(IDS, image_weight=0.04)
    batch = collate([sample(), sample(images=2)], "action")
    labels = batch.labels.clone()
    labels[1, 5] = batch.tokens[1, 5]  # an image code among the answers
    assert IDS.first_code <= labels[1, 5] < IDS.size
    hidden = chameleon.hidden_states(model, batch.tokens, batch.mask)
    loss = answer_loss(hidden, labels, model.lm_head, weights, z_weight=1e-5)
    logits = model.lm_head(hidden)
    numerator, squares = torch.zeros(()), torch.zeros(())
    denominator = count = 0.0
    for row, position in (labels[:, 1:] != -100).nonzero().tolist():
        label = int(labels[row, position + 1])
        weight = 0.04 if label >= IDS.first_code else 1.0
        normaliser = logits[row, position].logsumexp(-1)
        numerator = numerator + weight * (normaliser - logits[row, position, label])
        denominator += weight
        squares = squares + normaliser**2
        count += 1
    assert count == 2 * 19 + 1
    assert torch.allclose(loss.cross_entropy, numerator / denominator, atol=1e-6)
    assert torch.allclose(loss.total, loss.cross_entropy + 1e-5 * squares / count, atol=1e-6)


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
