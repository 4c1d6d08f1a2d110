"""transformers' own Chameleon with the weights of ours: what the benchmarks compare with, and the tests."""

import torch
from torch import nn
from transformers import ChameleonConfig, ChameleonForConditionalGeneration
from transformers.models.chameleon.modeling_chameleon import ChameleonRotaryEmbedding

from worldvla.model.chameleon import Chameleon


def theirs(model: Chameleon) -> ChameleonForConditionalGeneration:
    """Return transformers' model on the weights of ours, norms expanded to every head, without the image tokenizer.

    The weights are shared, not copied, except those of the norms; RoPE's frequencies are in fp32.
    """
    config = model.config
    their_config = ChameleonConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_heads,
        # Required by transformers; no id passes through it.
        vocabulary_map={"<image>": 0, "IMGIMGAZ": 1},
        vq_config={"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "num_embeddings": 1},
    )
    with torch.device("meta"):
        other = ChameleonForConditionalGeneration._from_config(
            their_config, attn_implementation="sdpa" if model.lm_head.weight.is_cuda else "eager"
        )
    del other.model.vqmodel
    state = {
        name: value.repeat(config.num_heads, 1) if ".q_norm." in name or ".k_norm." in name else value
        for name, value in model.state_dict().items()
    }
    other.load_state_dict(state, assign=True)
    other.model.rotary_emb = ChameleonRotaryEmbedding(their_config)
    nn.Module.to(other.model.rotary_emb, model.lm_head.weight.device)
    return other.requires_grad_(True).eval()


def additive(mask: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a boolean mask [batch, query, key] as transformers' attention takes it."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)[:, None]
