"""A stand-in of the repository of the paper's checkpoints: its layout, and tiny models with random weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from published_names import write_text_tokenizer
from safetensors.torch import save_file
from torch import Tensor

from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig
from worldvla.vocabulary import CHAMELEON

REPOSITORY = "Alibaba-DAMO-Academy/WorldVLA"
TOKENIZERS = "chameleon/tokenizer"
INDEX = "model.safetensors.index.json"
SIZE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def config(**changes: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the published ones, the wrong bos and eos among them."""
    return {
        "architectures": ["ChameleonXLLMXForConditionalGeneration_ck"],
        "model_type": "chameleon",
        "vocab_size": CHAMELEON.size,
        **SIZE,
        "num_key_value_heads": SIZE["num_attention_heads"],
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "swin_norm": False,
        "dropout": 0.05,
        "z_loss_weight": 1e-5,
        "mask_image_logits": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocabulary_map": {"<image>": 8711, "IMGIMGAZ": 4},
        "vq_config": {"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "num_embeddings": 1},
        **changes,
    }


def weights(seed: int = 0, *, norms_per_head: bool = False) -> dict[str, Tensor]:
    """Return bf16 weights by their published names. Norms of queries and keys are [1, head_dim], one set for all heads.

    Args:
        seed: of the random numbers.
        norms_per_head: the same ones [heads, head_dim], as transformers has them.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden, inner, heads = SIZE["hidden_size"], SIZE["intermediate_size"], SIZE["num_attention_heads"]
    norm = (1, hidden // heads)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (CHAMELEON.size, hidden)}
    for layer in range(SIZE["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        shapes |= {f"{block}.self_attn.{name}_proj.weight": (hidden, hidden) for name in "qkvo"}
        shapes |= {f"{block}.self_attn.{name}_norm.{part}": norm for name in "qk" for part in ("weight", "bias")}
        shapes |= {f"{block}.mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        shapes |= {f"{block}.mlp.down_proj.weight": (hidden, inner)}
        shapes |= {f"{block}.{name}_layernorm.weight": (hidden,) for name in ("input", "post_attention")}
    shapes |= {"model.norm.weight": (hidden,), "lm_head.weight": (CHAMELEON.size, hidden)}
    values = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        is_norm = "norm" in name and name.endswith("weight")
        values[name] = (1 + 0.1 * noise if is_norm else 0.1 * noise).to(torch.bfloat16)
        if norms_per_head and shape == norm:
            values[name] = values[name].repeat(heads, 1)
    return values


def write_checkpoint(folder: Path, seed: int = 0, *, norms_per_head: bool = False) -> None:
    """Write a checkpoint's folder in two shards."""
    folder.mkdir(parents=True)
    named = list(weights(seed, norms_per_head=norms_per_head).items())
    places = {}
    for number, part in enumerate((named[: len(named) // 2], named[len(named) // 2 :]), start=1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        save_file(dict(part), folder / shard, metadata={"format": "pt"})
        places |= {name: shard for name, _ in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    (folder / "config.json").write_text(json.dumps(config()))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))
    (folder / "args.json").write_text("{}")


def write_tokenizers(folder: Path) -> None:
    """Write the text tokenizer, and a VQ-GAN of the published sizes with random weights."""
    folder.mkdir(parents=True)
    write_text_tokenizer(folder / "text_tokenizer.json")
    torch.manual_seed(0)
    state = {**VQGAN(VQGANConfig()).state_dict(), "loss.discriminator.weight": torch.zeros(1)}
    torch.save({"state_dict": state}, folder / "vqgan.ckpt")
    (folder / "vqgan.yaml").write_text("model: {}\n")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by their path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def known_hashes(files: dict[str, bytes]) -> dict[str, str]:
    """Return what repositories.yaml says of the tokenizers, for these files."""
    vqgan, text = (files[f"{TOKENIZERS}/{name}"] for name in ("vqgan.ckpt", "text_tokenizer.json"))
    return {
        f"{TOKENIZERS}/vqgan.ckpt": f"sha256:{hashlib.sha256(vqgan).hexdigest()}",
        f"{TOKENIZERS}/text_tokenizer.json": f"md5:{hashlib.md5(text).hexdigest()}",
    }
