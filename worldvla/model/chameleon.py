"""Chameleon of ``transformers`` as the transformer of WorldVLA.

What it needs from us: masks of our own, hidden states instead of logits (its ``forward`` writes the minimum into every
image logit, so that the loss on an image would be infinite), and a language model without the image tokenizer, which
is trained and kept apart.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import Cache, ChameleonConfig, ChameleonForConditionalGeneration
from transformers.utils import logging as transformers_logging

from worldvla.vocabulary import Vocabulary

transformers_logging.disable_progress_bar()  # of writing and reading weights: a stage has bars of its own

MAX_POSITIONS = 16_384  # RoPE has no table; four frames of history at 512 px take 4,310 positions


@dataclass(frozen=True)
class ModelSize:
    """Shape of the transformer: width, depth, heads of width / heads each, and the inner width of the MLPs."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int


def build(size: ModelSize, vocabulary: Vocabulary) -> ChameleonForConditionalGeneration:
    """Return a freshly initialised model; draws from torch's global random state.

    Source: Chameleon (QK-norm, RoPE, SwiGLU, RMSNorm, embedding and head untied), the paper's backbone.
    """
    config = ChameleonConfig(
        vocab_size=vocabulary.size,
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        num_key_value_heads=size.num_heads,
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=vocabulary.bos,
        eos_token_id=vocabulary.separator,
        pad_token_id=None,
        # Required by transformers; our ids never pass through it.
        vocabulary_map={"<image>": vocabulary.begin_image, "IMGIMGAZ": vocabulary.first_code},
        # The image tokenizer is a model of its own; this stands in for it and is deleted below.
        vq_config={"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "num_embeddings": 1},
    )
    model = ChameleonForConditionalGeneration._from_config(config, attn_implementation=_attention())
    return _without_image_tokenizer(model)


def load(folder: Path) -> ChameleonForConditionalGeneration:
    """Return the model that ``save_pretrained`` wrote into a folder, in evaluation mode.

    Raises:
        ValueError: the folder holds no model.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder}: no model here, expected config.json and *.safetensors. Run: dvc repro train")
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # the image tokenizer's weights are missing on purpose
    model = ChameleonForConditionalGeneration.from_pretrained(folder, attn_implementation=_attention())
    transformers_logging.set_verbosity(verbosity)
    return _without_image_tokenizer(model).eval()


def _attention() -> str:
    """Return the kernel to use: both are exact with an additive mask; on a CPU the fused one has a slow backward."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def _without_image_tokenizer(model: ChameleonForConditionalGeneration) -> ChameleonForConditionalGeneration:
    del model.model.vqmodel
    return model


def placed(
    model: ChameleonForConditionalGeneration, device: torch.device, dtype: torch.dtype = torch.float32
) -> ChameleonForConditionalGeneration:
    """Return the model with its weights on a device, as a type."""
    torch.nn.Module.to(model, device=device, dtype=dtype)
    return model


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a boolean mask (True where visible) [..., query, key] as the summand that attention needs.

    The only place where a mask stops being boolean: eager attention adds whatever it gets, and a boolean would pass
    silently wrong.
    """
    assert mask.dtype is torch.bool, "masks are boolean everywhere else"
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


def hidden_states(
    model: ChameleonForConditionalGeneration,
    tokens: Tensor,
    mask: Tensor,
    positions: Tensor | None = None,
    cache: Cache | None = None,
) -> Tensor:
    """Return the last hidden states [batch, query, hidden_size].

    Args:
        model: from ``build`` or ``load``.
        tokens: ids [batch, query].
        mask: boolean [batch or 1, query, key], True where visible; keys are the cached positions, then the new ones.
        positions: RoPE positions [batch or 1, query]; counted on from the cache if absent.
        cache: keys and values so far; grows by the new tokens.
    """
    dtype = (
        torch.get_autocast_dtype(tokens.device.type) if torch.is_autocast_enabled(tokens.device.type) else model.dtype
    )
    output = model.model(
        input_ids=tokens,
        attention_mask=additive(mask, dtype)[:, None],
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
    )
    return output.last_hidden_state
