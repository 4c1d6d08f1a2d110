"""Decoding against the plainest way to do it: one full forward per token, no cache, argmax."""

import pytest
import torch

from worldvla.layout import Kind, Layout, Segment
from worldvla.masks import mask_of
from worldvla.model import chameleon, decoding
from worldvla.vocabulary import compact

IDS = compact(num_text=8, num_codes=16)
SIZE = chameleon.ModelSize(hidden_size=32, num_layers=2, num_heads=2, intermediate_size=64)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = chameleon.build(SIZE, IDS).eval()
    with torch.no_grad():  # sharper than an untrained model, so that different contexts choose different tokens
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.ndim == 2 else None
    return model


def plain_decoding(model, prompts, chunk, mask):
    """Each token from a forward over everything so far, under the training mask of the whole sample."""
    prefix = prompts.shape[1]
    segments = [Segment(Kind.TEXT, 0, prefix - 1), Segment(Kind.SEPARATOR, prefix - 1, prefix)]
    segments += [Segment(Kind.ACTION, prefix + 9 * k, prefix + 9 * k + 9, predicted=True) for k in range(chunk)]
    full = mask_of(mask, Layout(tuple(segments)))
    tokens, chosen = prompts, []
    for _ in range(chunk):
        tokens = torch.cat([tokens, torch.full((len(tokens), 1), IDS.begin_action)], dim=1)
        for _ in range(7):
            length = tokens.shape[1]
            hidden = chameleon.hidden_states(model, tokens, full[None, :length, :length])
            tokens = torch.cat([tokens, model.lm_head(hidden[:, -1:]).argmax(-1)], dim=1)
        chosen.append(tokens[:, -7:])
        tokens = torch.cat([tokens, torch.full((len(tokens), 1), IDS.end_action)], dim=1)
    return torch.stack(chosen, dim=1)


@pytest.mark.parametrize("chunk", [1, 5, 10])
@torch.no_grad()
def test_lanes_equal_sequential_masked_decoding(model, chunk):
    prompts = torch.randint(1, IDS.size, (3, 20), generator=torch.Generator().manual_seed(1))
    expected = plain_decoding(model, prompts, chunk, "action")
    assert torch.equal(decoding.decode_lanes(model, IDS, prompts, chunk), expected)
    assert expected.unique().numel() > 3, "the model must choose different tokens for the comparison to mean anything"


@pytest.mark.parametrize("chunk", [1, 5])
@torch.no_grad()
def test_sequential_decoding_equals_plain_causal_decoding(model, chunk):
    prompts = torch.randint(1, IDS.size, (3, 20), generator=torch.Generator().manual_seed(2))
    expected = plain_decoding(model, prompts, chunk, "causal")
    assert torch.equal(decoding.decode_sequentially(model, IDS, prompts, chunk), expected)


@torch.no_grad()
def test_the_two_masks_differ_from_the_second_action_on(model):
    prompts = torch.randint(1, IDS.size, (8, 20), generator=torch.Generator().manual_seed(3))
    lanes = decoding.decode_lanes(model, IDS, prompts, 5)
    sequential = decoding.decode_sequentially(model, IDS, prompts, 5)
    assert torch.equal(lanes[:, 0], sequential[:, 0])
    assert not torch.equal(lanes[:, 1:], sequential[:, 1:])
