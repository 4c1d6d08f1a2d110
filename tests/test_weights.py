"""Folders of weights: ours open with transformers, published ones load exactly, and what is not right is named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import small
from transformers import ChameleonModel

from benchmarks.theirs import theirs
from worldvla.model import weights
from worldvla.model.parts import Part

VOCABULARY = 50
SHARDS = 3


def publish(folder, model, dtype=torch.bfloat16):
    """Write a folder as the release has it: shards of bf16 with an index, and the ids of transformers' defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    weight_map = {}
    for number in range(SHARDS):
        file = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        part = {name: state[name].contiguous() for name in sorted(state)[number::SHARDS]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / weights.INDEX).write_text(json.dumps(index))
    config = model.config
    (folder / "config.json").write_text(
        json.dumps(
            {
                "architectures": ["ChameleonXLLMXForConditionalGeneration_ck"],
                "model_type": "chameleon",
                "bos_token_id": 1,
                "eos_token_id": 2,
                "vocab_size": config.vocab_size,
                "hidden_size": config.hidden_size,
                "num_hidden_layers": config.num_layers,
                "num_attention_heads": config.num_heads,
                "num_key_value_heads": config.num_heads,
                "intermediate_size": config.intermediate_size,
                "rms_norm_eps": 1e-5,
                "rope_theta": 10000.0,
                "swin_norm": False,
                "dropout": 0.05,
                "z_loss_weight": 1e-5,
                "mask_image_logits": False,
            }
        )
    )


@pytest.fixture
def model():
    return small(VOCABULARY)


@pytest.fixture
def published(tmp_path, model):
    publish(tmp_path / "published", model)
    return tmp_path / "published"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_published_folder_loads_exactly(published, model):
    loaded = weights.load(published).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value.to(torch.bfloat16)), name
    assert weights.load(published, dtype=torch.float32).lm_head.weight.dtype is torch.float32


def test_a_saved_model_loads_and_opens_with_transformers(tmp_path, model):
    weights.save(model, tmp_path)
    loaded = weights.load(tmp_path)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    other = ChameleonModel.from_pretrained(tmp_path)
    tokens = torch.arange(1, 30)[None]
    with torch.no_grad():
        expected = other(input_ids=tokens, use_cache=False).last_hidden_state[0]
        assert torch.allclose(loaded(Part(tokens)), expected, atol=1e-5)


def test_the_size_of_the_waves_is_kept(tmp_path):
    weights.save(small(VOCABULARY, position_rms=0.25), tmp_path)
    assert weights.load(tmp_path).config.position_rms == 0.25


def test_norms_of_every_head_load_if_all_heads_have_the_same(tmp_path, model, published):
    theirs(model).save_pretrained(tmp_path / "theirs")
    assert torch.equal(weights.load(tmp_path / "theirs").lm_head.weight, model.lm_head.weight)
    file = published / f"model-00001-of-{SHARDS:05}.safetensors"
    state = load_file(file)
    name = next(name for name in state if name.endswith("_norm.weight") and state[name].ndim == 2)
    state[name] = torch.stack([state[name][0], state[name][0] + 1])
    save_file(state, file)
    with pytest.raises(ValueError, match=r"differs from head to head; expected one norm for all heads"):
        weights.load(published)


def test_the_image_tokenizer_and_the_successors_head_are_left_out_by_name(published, capsys):
    extra = {"model.vqmodel.conv.weight": torch.ones(1), "action_head.fc.weight": torch.ones(1)}
    save_file(extra, published / "extra.safetensors")
    edit(published / weights.INDEX, lambda index: index["weight_map"].update(dict.fromkeys(extra, "extra.safetensors")))
    weights.load(published)
    printed = capsys.readouterr().out
    assert all(f"1 tensors of {part}*" in printed for part in ("model.vqmodel.", "action_head."))


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def with_nan(path):
    state = load_file(path)
    next(iter(state.values())).view(-1)[0] = torch.nan
    save_file(state, path)


FIRST = f"model-00001-of-{SHARDS:05}.safetensors"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / FIRST).unlink(), rf"{FIRST}: no such file, but {weights.INDEX} names it"),
        (lambda folder: cut(folder / FIRST), rf"{FIRST}: damaged or cut off; expected a file of safetensors"),
        (
            lambda folder: edit(folder / weights.INDEX, lambda index: index["weight_map"].update(ghost=FIRST)),
            rf"{FIRST}: 'ghost' is not in it, but {weights.INDEX} says so",
        ),
        (
            lambda folder: edit(folder / weights.INDEX, lambda index: index["weight_map"].pop("lm_head.weight")),
            r"'lm_head.weight' is missing \(1 such\); expected the \d+ tensors of a Chameleon",
        ),
        (
            lambda folder: edit(folder / "config.json", lambda config: config.update(intermediate_size=65)),
            r"'model.layers.\d.mlp.\w+.weight' is \[\d+, \d+\], expected \[\d+, \d+\]; the sizes in config.json are not",
        ),
        (lambda folder: with_nan(folder / FIRST), rf"{FIRST}: '.*' has a value that is not finite; expected weights"),
        (
            lambda folder: edit(folder / "config.json", lambda config: config.update(num_key_value_heads=1)),
            "num_key_value_heads is 1, expected 2, as Chameleon has it; fetch the model again",
        ),
        (
            lambda folder: edit(folder / "config.json", lambda config: config.pop("vocab_size")),
            r"config.json: not the config of a Chameleon \(KeyError 'vocab_size'\); expected its sizes",
        ),
        (lambda folder: (folder / weights.INDEX).write_text("{"), "no index of weights; expected a weight_map"),
    ],
)
def test_what_is_not_right_is_named_in_a_sentence(published, harm, message):
    harm(published)
    with pytest.raises(ValueError, match=message):
        weights.load(published)


def test_an_unknown_tensor_is_named(published):
    save_file({"model.layers.7.other": torch.ones(1)}, published / "more.safetensors")
    edit(
        published / weights.INDEX,
        lambda index: index["weight_map"].update({"model.layers.7.other": "more.safetensors"}),
    )
    with pytest.raises(ValueError, match=r"'model.layers.7.other' is unknown; expected the \d+ tensors of a Chameleon"):
        weights.load(published)


def test_a_folder_without_a_model_is_named(tmp_path, model):
    with pytest.raises(ValueError, match=r"config.json: no such file; expected the folder of a model"):
        weights.load(tmp_path)
    weights.save(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no weights here, expected \*.safetensors. Run: dvc repro train"):
        weights.load(tmp_path)
