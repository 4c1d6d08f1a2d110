"""Decoding against the plainest way to do it: one full forward per token, no cache, argmax."""

import dataclasses

import numpy as np
import pytest
import torch
from small_models import sharp
from test_sequences import mask_of_layout

from worldvla.layout import Kind, Layout, Segment
from worldvla.model import decoding
from worldvla.model.parts import Part
from worldvla.vocabulary import CHAMELEON, compact

IDS = compact(num_text=8, num_codes=16)


@pytest.fixture(scope="module", params=[0.0, 0.1], ids=["rotary positions", "waves too"])
def model(request):
    return sharp(IDS.size, position_rms=request.param)


def plain_decoding(model, prompts, chunk, mask):
    """Each token from a forward over everything so far, under the training mask of the whole sample."""
    prefix = prompts.shape[1]
    segments = [Segment(Kind.TEXT, 0, prefix - 1), Segment(Kind.SEPARATOR, prefix - 1, prefix)]
    segments += [Segment(Kind.ACTION, prefix + 9 * k, prefix + 9 * k + 9, predicted=True) for k in range(chunk)]
    full = mask_of_layout(mask, Layout(tuple(segments)))[None]
    tokens, chosen = prompts, []
    for _ in range(chunk):
        tokens = torch.cat([tokens, torch.full((len(tokens), 1), IDS.begin_action)], dim=1)
        for _ in range(7):
            length = tokens.shape[1]
            hidden = model(Part(tokens, full[:, :length, :length])).view(len(tokens), length, -1)
            tokens = torch.cat([tokens, model.lm_head(hidden[:, -1:]).argmax(-1)], dim=1)
        chosen.append(tokens[:, -7:])
        tokens = torch.cat([tokens, torch.full((len(tokens), 1), IDS.end_action)], dim=1)
    return torch.stack(chosen, dim=1)


@pytest.mark.parametrize(("chunk", "prompt"), [(1, 20), (5, 130), (10, 20)])
@torch.no_grad()
def test_lanes_equal_sequential_masked_decoding(model, chunk, prompt):
    prompts = torch.randint(1, IDS.size, (3, prompt), generator=torch.Generator().manual_seed(1))
    expected = plain_decoding(model, prompts, chunk, "action")
    assert torch.equal(decoding.decode_lanes(model, IDS, prompts, chunk), expected)
    assert expected.unique().numel() > 3, "the model must choose different tokens for the comparison to mean anything"


@pytest.mark.parametrize(("chunk", "prompt"), [(1, 130), (5, 20)])
@torch.no_grad()
def test_sequential_decoding_equals_plain_causal_decoding(model, chunk, prompt):
    prompts = torch.randint(1, IDS.size, (3, prompt), generator=torch.Generator().manual_seed(2))
    expected = plain_decoding(model, prompts, chunk, "causal")
    assert torch.equal(decoding.decode_sequentially(model, IDS, prompts, chunk), expected)


@torch.no_grad()
def test_the_two_masks_differ_from_the_second_action_on(model):
    prompts = torch.randint(1, IDS.size, (8, 20), generator=torch.Generator().manual_seed(3))
    lanes = decoding.decode_lanes(model, IDS, prompts, 5)
    sequential = decoding.decode_sequentially(model, IDS, prompts, 5)
    assert torch.equal(lanes[:, 0], sequential[:, 0])
    assert not torch.equal(lanes[:, 1:], sequential[:, 1:])


def plain_image(model, ids, prompts, num_codes):
    """Each code from a causal forward over everything so far, the best of the codes; markers as they stand."""
    tokens, chosen = prompts, []
    for token in ids.image(np.zeros(num_codes, int)):
        if token == ids.first_code:
            logits = model.lm_head(model(Part(tokens)).view(*tokens.shape, -1)[:, -1])
            chosen.append(logits[:, ids.first_code : ids.first_code + ids.num_codes].argmax(-1))
            following = chosen[-1][:, None] + ids.first_code
        else:
            following = torch.full((len(tokens), 1), int(token))
        tokens = torch.cat([tokens, following], dim=1)
    return torch.stack(chosen, dim=1)


# The published vocabulary's rows and grid tokens in a vocabulary small enough for a test.
ROWS = dataclasses.replace(
    CHAMELEON,
    size=120,
    separator=60,
    begin_image=61,
    end_image=62,
    end_row=63,
    first_grid=64,
    begin_action=70,
    end_action=71,
    num_codes=16,
)


@pytest.mark.parametrize("ids", [IDS, ROWS], ids=["compact", "with rows and grid"])
@torch.no_grad()
def test_cached_image_equals_uncached_decoding_token_by_token(ids):
    model = sharp(ids.size, seed=1)
    prompts = torch.randint(1, ids.size, (3, 120), generator=torch.Generator().manual_seed(4))
    expected = plain_image(model, ids, prompts, 16)
    assert torch.equal(decoding.decode_image(model, ids, prompts, 16), expected)
    assert expected.unique().numel() > 3, "the model must choose different codes for the comparison to mean anything"


@torch.no_grad()
def test_an_image_does_not_depend_on_the_others_of_its_batch(model):
    prompts = torch.randint(1, IDS.size, (5, 20), generator=torch.Generator().manual_seed(6))
    together = decoding.decode_image(model, IDS, prompts, 16)
    alone = torch.cat([decoding.decode_image(model, IDS, prompt[None], 16) for prompt in prompts])
    assert torch.equal(together, alone)


@torch.no_grad()
def test_only_codes_are_chosen_even_if_another_token_is_likelier(model):
    prompts = torch.randint(1, IDS.size, (2, 20), generator=torch.Generator().manual_seed(7))
    codes = decoding.decode_image(model, IDS, prompts, 4)
    rest = slice(0, IDS.first_code)
    model.lm_head.weight[rest] *= 100
    try:
        assert torch.equal(decoding.decode_image(model, IDS, prompts, 4), codes)
    finally:
        model.lm_head.weight[rest] /= 100
    assert ((codes >= 0) & (codes < IDS.num_codes)).all()
