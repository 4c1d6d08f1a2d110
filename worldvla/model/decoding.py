"""Greedy decoding of action chunks.

The skeleton of an answer (BOA, EOA, separator) is fixed, so it is written, not decoded: only the seven bins of each
action are chosen, from the whole vocabulary as in the release. What is chosen need not be a bin; ``policy`` judges that.
"""

import torch
from torch import Tensor
from transformers import ChameleonForConditionalGeneration, DynamicCache

from worldvla.model.chameleon import hidden_states
from worldvla.vocabulary import Vocabulary

ACTION_DIM = 7
BLOCK = ACTION_DIM + 2  # tokens of one action: BOA, seven bins, EOA


@torch.inference_mode()
def decode_lanes(
    model: ChameleonForConditionalGeneration, vocabulary: Vocabulary, prompts: Tensor, chunk: int
) -> Tensor:
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
    cache = _prefill(model, prompts)
    tokens = prompts.new_full((batch, chunk), vocabulary.begin_action)
    starts = prefix + BLOCK * torch.arange(chunk, device=prompts.device)[None]
    seen_prompt = torch.ones(chunk, prefix, dtype=torch.bool, device=prompts.device)
    own_lane = torch.eye(chunk, dtype=torch.bool, device=prompts.device)
    chosen = []
    for step in range(ACTION_DIM):
        mask = torch.cat([seen_prompt] + [own_lane] * (step + 1), dim=1)[None]
        hidden = hidden_states(model, tokens, mask, positions=starts + step, cache=cache)
        tokens = model.lm_head(hidden).argmax(dim=-1)
        chosen.append(tokens)
    return torch.stack(chosen, dim=2)


@torch.inference_mode()
def decode_sequentially(
    model: ChameleonForConditionalGeneration, vocabulary: Vocabulary, prompts: Tensor, chunk: int
) -> Tensor:
    """Decode a chunk under the causal mask, one bin after the other; arguments and result as in ``decode_lanes``.

    7 steps per action: the EOA of one action and the BOA of the next are fed together.
    """
    batch, prefix = prompts.shape
    cache = _prefill(model, prompts)
    pending = prompts.new_full((batch, 1), vocabulary.begin_action)
    between = prompts.new_tensor([vocabulary.end_action, vocabulary.begin_action]).expand(batch, 2)
    length = prefix
    chosen = []
    for number in range(chunk * ACTION_DIM):
        length += pending.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=prompts.device).tril()[-pending.shape[1] :][None]
        hidden = hidden_states(model, pending, mask, cache=cache)
        token = model.lm_head(hidden[:, -1:]).argmax(dim=-1)
        chosen.append(token)
        pending = torch.cat([token, between], dim=1) if number % ACTION_DIM == ACTION_DIM - 1 else token
    return torch.cat(chosen, dim=1).view(batch, chunk, ACTION_DIM)


def _prefill(model: ChameleonForConditionalGeneration, prompts: Tensor) -> DynamicCache:
    """Return the keys and values of the prompts, which are causal under every mask."""
    length = prompts.shape[1]
    cache = DynamicCache(config=model.config)
    mask = torch.ones(length, length, dtype=torch.bool, device=prompts.device).tril()[None]
    hidden_states(model, prompts, mask, cache=cache)
    return cache
