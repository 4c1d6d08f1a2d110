"""transformers' own Chameleon with the weights of ours: what the benchmarks compare with, and the tests."""

import torch
from transformers import ChameleonConfig, ChameleonForConditionalGeneration

from worldvla.model.chameleon import Chameleon


def theirs(model: Chameleon) -> ChameleonForConditionalGeneration:
    """Return transformers' model with the weights of ours, norms expanded to every head, without the image tokenizer."""
    config = model.config
    other = ChameleonForConditionalGeneration._from_config(
        ChameleonConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_heads,
            # Required by transformers; no id passes through it.
            vocabulary_map={"<image>": 0, "IMGIMGAZ": 1},
            vq_config={"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "num_embeddings": 1},
        ),
        attn_implementation="sdpa" if model.lm_head.weight.is_cuda else "eager",
    )
    del other.model.vqmodel
    state = {
        name: value.expand(config.num_heads, -1) if ".q_norm." in name or ".k_norm." in name else value
        for name, value in model.state_dict().items()
    }
    other.load_state_dict(state)
    torch.nn.Module.to(other, model.lm_head.weight.device)
    return other.eval()


def additive(mask: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a boolean mask [batch, query, key] as transformers' attention takes it."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)[:, None]
