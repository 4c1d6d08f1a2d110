"""The transformer against transformers' own, kernel by kernel and whole; its parts, rows and cache against plain forwards."""

import numpy as np
import pytest
import torch
from small_models import SIZES, sharp, small
from test_sequences import mask_of_layout

from benchmarks.theirs import theirs
from worldvla.model import kernels
from worldvla.model.batches import batch_indices, collate
from worldvla.model.chameleon import Chameleon
from worldvla.model.config import ChameleonConfig
from worldvla.model.parts import Cache, Part
from worldvla.sequences import action_sample, world_sample
from worldvla.vocabulary import compact

IDS = compact(num_text=8, num_codes=16)


def sample(images=1, chunk=2, seed=0):
    random = np.random.default_rng(seed)
    codes = [random.integers(0, 16, 4) for _ in range(images)]
    return action_sample(IDS, [1, 2], codes, random.integers(0, 255, (chunk, 7)))


def drawn_world():
    random = np.random.default_rng(5)
    codes = [random.integers(0, 16, 4) for _ in range(2)]
    return world_sample(IDS, [1, 2], codes, random.integers(0, 255, (1, 7)))


def cache_of(model, batch, capacity):
    return Cache(model.config, batch, capacity, torch.float32, torch.device("cpu"))


@pytest.fixture
def model():
    return small(IDS.size)


def tokens_of(length, batch=2, seed=1):
    return torch.randint(1, IDS.size, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gradients", [False, True], ids=["asked", "trained"])
@pytest.mark.parametrize("masked", [False, True], ids=["causal kernel", "dense mask"])
def test_hidden_states_equal_those_of_transformers(model, gradients, masked):
    tokens = tokens_of(150)
    mask = torch.ones(1, 150, 150, dtype=torch.bool).tril() if masked else None
    with torch.set_grad_enabled(gradients):
        ours = model(Part(tokens, mask)).view(2, 150, -1)
        expected = theirs(model).model(input_ids=tokens, use_cache=False).last_hidden_state
    assert torch.allclose(ours, expected, atol=1e-5)


@torch.no_grad()
def test_waves_of_positions_are_added_to_the_embeddings():
    model = small(IDS.size, position_rms=0.3)
    angles = np.arange(40)[:, None] / 1000 ** (np.arange(16) / 16)
    waves = torch.from_numpy(0.3 * 2**0.5 * np.concatenate([np.sin(angles), np.cos(angles)], 1)).float()
    tokens, shared = tokens_of(30), torch.arange(10, 40)[None]
    ours = model(Part(tokens), Part(tokens, positions=shared)).view(2, 2, 30, -1)
    for some, at in zip(ours, (slice(0, 30), slice(10, 40)), strict=True):
        embedded = model.model.embed_tokens(tokens) + waves[at]
        expected = theirs(model).model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        assert torch.allclose(some, expected, atol=1e-5)


@torch.no_grad()
def test_greedy_answers_equal_those_of_transformers_token_by_token():
    model = sharp(IDS.size)
    prompt, other, cache = tokens_of(120, batch=1), theirs(model), cache_of(model, 1, 160)
    ours = [model.lm_head(model(Part(prompt, cache=cache))[-1:]).argmax(-1)[None]]
    for _ in range(39):
        ours.append(model.lm_head(model(Part(ours[-1], cache=cache))).argmax(-1)[None])
    sequence = prompt
    for _ in range(40):
        hidden = other.model(input_ids=sequence, use_cache=False).last_hidden_state
        sequence = torch.cat([sequence, other.lm_head(hidden[:, -1:]).argmax(-1)], dim=1)
    assert torch.equal(torch.cat(ours, dim=1), sequence[:, 120:])
    assert sequence[:, 120:].unique().numel() > 5, "the model must choose different tokens for this to mean anything"


@torch.no_grad()
def test_in_bf16_the_error_is_that_of_bf16_at_late_positions_too(model):
    """Frequencies rounded to bf16 would be off by 5 rad at token 4,000."""
    tokens = tokens_of(24)
    positions = 4000 + torch.arange(24)[None]
    exact = model(Part(tokens, positions=positions))
    rounded = model.to(torch.bfloat16)
    ours = rounded(Part(tokens, positions=positions))
    expected = theirs(rounded).model(input_ids=tokens, position_ids=positions, use_cache=False, attention_mask=None)

    def error(hidden):
        return ((hidden.float() - exact).norm() / exact.norm()).item()

    assert ours.dtype is torch.bfloat16
    assert 0 < error(ours) < 0.01
    assert error(ours) < 1.1 * error(expected.last_hidden_state.flatten(0, 1))


@torch.no_grad()
def test_fp32_weights_multiplied_in_bf16_keep_their_residuals(model):
    exact = model(Part(tokens_of(24)))
    model.compute = torch.bfloat16
    mixed = model(Part(tokens_of(24)))
    assert mixed.dtype is torch.bfloat16
    assert ((mixed.float() - exact).norm() / exact.norm()).item() < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_by_hand_equal_those_of_autograd(monkeypatch, dtype):
    """The same model, its kernels once with gradients by hand and once as torch has them."""
    found = []
    for by_hand in (True, False):
        monkeypatch.setattr(kernels, "_by_hand", lambda _, by_hand=by_hand: by_hand)
        model = small(IDS.size)
        model.compute = dtype
        parts = [batch.part for batch in collate([sample(), sample(images=2), drawn_world()], "action")]
        hidden = model(*parts).float()
        (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum().backward()
        found.append({name: parameter.grad for name, parameter in model.model.named_parameters()})
    for name, gradient in found[0].items():
        assert gradient is not None
        error = (gradient - found[1][name]).norm() / found[1][name].norm()
        assert error < (1e-5 if dtype is torch.float32 else 0.02), name


@torch.no_grad()
def test_a_token_that_is_hidden_changes_nothing(model):
    """Changing the first action of a chunk leaves the hidden states of the second alone under the action mask only."""
    original, changed = sample(), sample()
    first, second = original.layout.actions
    changed.tokens[first.start + 1 : first.stop - 1] = IDS.first_bin + 7
    for name, equal in (("action", True), ("causal", False)):
        mask = mask_of_layout(name, original.layout)[None]
        a, b = (model(Part(torch.from_numpy(one.tokens)[None], mask)) for one in (original, changed))
        assert torch.allclose(a[second.start : second.stop], b[second.start : second.stop], atol=1e-6) == equal


@pytest.mark.parametrize("mask", ["action", "causal"])
@torch.no_grad()
def test_samples_of_a_step_do_not_change_each_other(model, mask):
    """Padding, other samples, other kinds: the answered states are those of each sample alone, in full."""
    samples = [sample(images=1), sample(images=2), drawn_world()]
    batches = collate(samples, mask)
    together = model(*(batch.part for batch in batches)).split([batch.rows.numel() for batch in batches])
    order = sorted(range(3), key=lambda index: int((samples[index].labels != -100).sum()))
    states = [
        row for group, batch in zip(together, batches, strict=True) for row in group.view(len(batch.rows), -1, 32)
    ]
    for index, state in zip(order, states, strict=True):
        tokens = torch.from_numpy(samples[index].tokens)[None]
        alone = model(Part(tokens, mask_of_layout(mask, samples[index].layout)[None]))
        answered = torch.from_numpy(samples[index].labels[1:] != -100)
        assert torch.allclose(state, alone[:-1][answered], atol=1e-5)


def test_a_causal_batch_brings_no_mask():
    assert [batch.lanes is None for batch in collate([sample(chunk=2), drawn_world()], "action")] == [True, False]
    assert [batch.lanes is None for batch in collate([sample(chunk=2), drawn_world()], "causal")] == [True, True]


@pytest.mark.parametrize("position_rms", [0.0, 0.3])
@torch.no_grad()
def test_a_cache_gives_what_a_whole_forward_gives(position_rms):
    model = small(IDS.size, position_rms=position_rms)
    tokens, cache = tokens_of(20), cache_of(model, 2, 20)
    triangle = torch.ones(1, 20, 20, dtype=torch.bool).tril()
    whole = model(Part(tokens)).view(2, 20, -1)
    first = model(Part(tokens[:, :12], cache=cache)).view(2, 12, -1)
    several = model(Part(tokens[:, 12:19], triangle[:, 12:19, :19], cache=cache)).view(2, 7, -1)
    one = model(Part(tokens[:, 19:], cache=cache)).view(2, 1, -1)
    assert torch.allclose(torch.cat([first, several, one], dim=1), whole, atol=1e-5)
    with pytest.raises(AssertionError, match="several tokens behind cached ones need a mask"):
        model(Part(tokens[:, :2], cache=cache))


def test_dropout_drops_in_training_alone():
    model = Chameleon(ChameleonConfig(IDS.size, **SIZES), dropout=0.5)
    model.load_state_dict(small(IDS.size).state_dict())
    part = Part(tokens_of(8))
    torch.manual_seed(0)
    first, second = model.train()(part), model(part)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(model.eval()(part), small(IDS.size)(part))


def test_a_boolean_mask_never_reaches_attention():
    mask = kernels.additive(torch.tensor([[[True, False]]]), torch.float32)
    assert mask[0, 0, 0, 0] == 0
    assert mask[0, 0, 0, 1] == torch.finfo(torch.float32).min


def test_every_epoch_is_a_permutation_and_epochs_differ():
    epochs = [np.concatenate([batch_indices(20, 4, step, seed=3) for step in range(5 * e, 5 * e + 5)]) for e in (0, 1)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    with pytest.raises(ValueError, match="got 3 samples, expected at least one batch of 4"):
        batch_indices(3, 4, 0, seed=0)
