"""Greedy decoding of action chunks and of images.

The skeleton of an answer (markers, rows, separators) is fixed, so it is written, not decoded. Of an action the seven bins
are chosen, from the whole vocabulary as in the release: what is chosen need not be a bin, and ``policy`` judges that. Of
an image the codes are chosen, among codes alone.
"""

import numpy as np
import torch
from torch import Tensor

from worldvla.model.chameleon import Chameleon
from worldvla.model.parts import Cache, Part
from worldvla.vocabulary import Vocabulary

ACTION_DIM = 7
BLOCK = ACTION_DIM + 2  # tokens of one action: BOA, seven bins, EOA


@torch.inference_mode()
def decode_lanes(model: Chameleon, vocabulary: Vocabulary, prompts: Tensor, chunk: int) -> Tensor:
    """Decode a chunk under the action mask: ``chunk`` lanes over one prefix cache, seven steps.

    An answered action sees the prompt and itself only, so all actions advance together: step j feeds the j-th token of
    every action at once, each at its own position, each seeing the prompt and its own lane. The prompt's keys and values
    are stored once. Equal to sequential decoding under the mask, token by token, in 7 steps instead of 9 * chunk + 1.

    Args:
        model: the policy.
        vocabulary: its ids.
        prompts: [batch, P] tokens up to and including the separator, all of one length.
        chunk: number of actions K.

    Returns:
        [batch, K, 7] tokens.
    """
    batch, prefix = prompts.shape
    cache = _prefilled(model, prompts, prefix + chunk * ACTION_DIM)
    tokens = prompts.new_full((batch, chunk), vocabulary.begin_action)
    starts = prefix + BLOCK * torch.arange(chunk, device=prompts.device)[None]
    seen_prompt = torch.ones(chunk, prefix, dtype=torch.bool, device=prompts.device)
    own_lane = torch.eye(chunk, dtype=torch.bool, device=prompts.device)
    chosen = []
    for step in range(ACTION_DIM):
        mask = torch.cat([seen_prompt] + [own_lane] * (step + 1), dim=1)[None]
        hidden = model(Part(tokens, mask, positions=starts + step, cache=cache))
        tokens = model.lm_head(hidden).argmax(dim=-1).view(batch, chunk)
        chosen.append(tokens)
    return torch.stack(chosen, dim=2)


@torch.inference_mode()
def decode_sequentially(model: Chameleon, vocabulary: Vocabulary, prompts: Tensor, chunk: int) -> Tensor:
    """Decode a chunk under the causal mask, one bin after the other; arguments and result as in ``decode_lanes``.

    7 steps per action: the EOA of one action and the BOA of the next are fed together.
    """
    batch, prefix = prompts.shape
    cache = _prefilled(model, prompts, prefix + chunk * BLOCK)
    end, begin = (prompts.new_full((batch, 1), marker) for marker in (vocabulary.end_action, vocabulary.begin_action))
    pending, chosen = begin, []
    for number in range(chunk * ACTION_DIM):
        token = model.lm_head(_behind(model, pending, cache)).argmax(dim=-1, keepdim=True)
        chosen.append(token)
        pending = torch.cat([token, end, begin], dim=1) if number % ACTION_DIM == ACTION_DIM - 1 else token
    return torch.cat(chosen, dim=1).view(batch, chunk, ACTION_DIM)


@torch.inference_mode()
def decode_image(model: Chameleon, vocabulary: Vocabulary, prompts: Tensor, num_codes: int) -> Tensor:
    """Decode one image, row by row; one forward per code.

    Markers are fed together with the code before them. EOI and what follows carry no choice and are not computed.

    Args:
        model: the world model.
        vocabulary: its ids.
        prompts: [batch, P] tokens up to and including the separator, all of one length.
        num_codes: codes per image n, a square number.

    Returns:
        [batch, n] codes, row by row.
    """
    batch, prefix = prompts.shape
    block = torch.from_numpy(vocabulary.image(np.zeros(num_codes, np.int64))).to(prompts.device)
    places = (block == vocabulary.first_code).nonzero()[:, 0].tolist()  # where the codes stand in the block
    # The last code is chosen, but never fed.
    cache = _cache(model, prompts, prefix + places[-1])
    pending = torch.cat([prompts, block[: places[0]].expand(batch, -1)], dim=1)
    chosen = []
    for place, following in zip(places, [*places[1:], None], strict=True):
        chosen.append(best_code(model, vocabulary, _behind(model, pending, cache)))
        token = chosen[-1][:, None] + vocabulary.first_code
        pending = torch.cat([token, block[place + 1 : following].expand(batch, -1)], dim=1)
    return torch.stack(chosen, dim=1)


def best_code(model: Chameleon, vocabulary: Vocabulary, hidden: Tensor) -> Tensor:
    """Return the likeliest code [...] after hidden states [..., hidden_size]; other tokens are not considered."""
    rows = model.lm_head.weight[vocabulary.first_code : vocabulary.first_code + vocabulary.num_codes]
    return (hidden @ rows.T.to(hidden.dtype)).argmax(dim=-1)


def _prefilled(model: Chameleon, prompts: Tensor, capacity: int) -> Cache:
    """Return the keys and values of prompts, which are causal under every mask, with room for what follows."""
    cache = _cache(model, prompts, capacity)
    _behind(model, prompts, cache)
    return cache


def _cache(model: Chameleon, prompts: Tensor, capacity: int) -> Cache:
    return Cache(model.config, len(prompts), capacity, model.type_of_products, prompts.device)


def _behind(model: Chameleon, tokens: Tensor, cache: Cache) -> Tensor:
    """Return the hidden state behind the last of some causal tokens [batch, hidden_size], which go into the cache."""
    batch, new = tokens.shape
    stop = cache.length + new
    mask = None
    if cache.length and new > 1:
        mask = torch.ones(1, stop, stop, dtype=torch.bool, device=tokens.device).tril()[:, -new:]
    last = torch.full((batch, 1), new - 1, device=tokens.device)
    return model(Part(tokens, mask, rows=last, cache=cache))
