"""Fetching the paper's own checkpoints: what is laid out, and what is refused before anything large is fetched."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hub_server import REVISION, Fault, serve, use
from published_names import write_text_tokenizer
from released_files import INDEX, REPOSITORY, TOKENIZERS, config, known_hashes, read_files, write_checkpoint

from pipeline import released_model, released_tokenizer
from pipeline.tokenizer import with_published
from worldvla.data.hub import fetching, published
from worldvla.files import file_digest
from worldvla.model.settings import ModelSettings
from worldvla.params import strict
from worldvla.params.tokenizer import TokenizerParams
from worldvla.tokenizers.action import ActionTokenizer
from worldvla.tokenizers.image import ImageTokenizer
from worldvla.tokenizers.text import TextTokenizer
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig

FOLDER = "model_256/libero_goal"
REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
SMALL = VQGANConfig(num_codes=64, code_dim=8, base_channels=32, num_res_blocks=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The repository, with a VQ-GAN of few channels."""
    folder = tmp_path_factory.mktemp("release")
    write_checkpoint(folder / FOLDER)
    (folder / TOKENIZERS).mkdir(parents=True)
    write_text_tokenizer(folder / TOKENIZERS / "text_tokenizer.json")
    torch.manual_seed(0)
    torch.save({"state_dict": VQGAN(SMALL).state_dict()}, folder / TOKENIZERS / "vqgan.ckpt")
    return read_files(folder)


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    """A hub that has the repository; no simulator is asked for."""
    entry = replace(published.load("released"), listed=known_hashes(files))
    monkeypatch.setattr(published, "load", {"released": entry}.__getitem__)
    monkeypatch.setattr(released_tokenizer, "VQGANConfig", lambda: SMALL)
    monkeypatch.setattr(released_model, "ensure_assets", lambda benchmark: None)
    with serve(dict(files), REPOSITORY, "model") as hub:
        use(hub, monkeypatch, tmp_path / "cache")
        yield hub


def make_tokenizer(tmp_path: Path) -> Path:
    params, out = tmp_path / "tokenizer.yaml", tmp_path / "tokenizer"
    params.write_text(yaml.safe_dump({"released_tokenizer": {"pixels": 32}}))
    released_tokenizer.main(params=params, out=out)
    return out


def make_model(tmp_path: Path, folder: str = FOLDER) -> Path:
    tokenizer = tmp_path / "tokenizer"
    if not tokenizer.exists():
        make_tokenizer(tmp_path)
    params, out = tmp_path / "model.yaml", tmp_path / "models" / "released_256-goal"
    section = {"folder": folder, "chunk": 5, "history": 2, "mask": "action"}
    params.write_text(yaml.safe_dump({"released_model": section}))
    released_model.main(params=params, tokenizer=tokenizer, out=out)
    return out


def refused(tmp_path: Path, folder: str = FOLDER) -> str:
    """Return the one sentence with which the checkpoint is refused, before any shard is fetched."""
    with pytest.raises(ValueError, match=r"; expected .*; ") as caught:
        make_model(tmp_path, folder)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "models").exists()
    return str(caught.value)


def sent_shards(hub) -> list[str]:
    return [path for path in hub.sent if path.endswith(".safetensors")]


def test_tokenizers_become_ours_and_know_the_published_file(hub, files, tmp_path, capsys):
    out = make_tokenizer(tmp_path)
    images = ImageTokenizer.load(out)
    assert (images.pixels, images.num_codes, images.tf32) == (32, 64, True)
    assert f"sha256:{images.digest}" == known_hashes(files)[f"{TOKENIZERS}/vqgan.ckpt"]
    assert images.encode(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 4)
    assert (out / "text.json").read_bytes() == files[f"{TOKENIZERS}/text_tokenizer.json"]
    assert TextTokenizer.load(out / "text.json").size == 65_536
    assert ActionTokenizer.load(out / "actions.json") == ActionTokenizer.published("release")
    assert json.loads((out / "origin.json").read_text())["commit"] == REVISION
    assert capsys.readouterr().out.splitlines()[-1].endswith("64 codes, 32 px. Next: released_model")


def test_a_checkpoint_is_linked_with_all_that_a_policy_needs(hub, files, tmp_path, capsys):
    out = make_model(tmp_path)
    store = fetching.snapshot(replace(published.load("released"), revision=REVISION))
    shards = sorted(out.glob("*.safetensors"))
    assert len(shards) == 2
    for shard in shards:
        assert shard.samefile(store / FOLDER / shard.name)  # no second copy
    settings = ModelSettings.load(out)
    assert (settings.vocabulary, settings.mask, settings.chunk, settings.history) == ("chameleon", "action", 5, 2)
    assert settings.image_tokenizer == ImageTokenizer.load(tmp_path / "tokenizer").digest
    origin = json.loads((out / "released.json").read_text())
    assert {key: origin[key] for key in ("repository", "commit", "folder")} == {
        "repository": REPOSITORY,
        "commit": REVISION,
        "folder": FOLDER,
    }
    assert origin["sha256"] == {
        name.removeprefix(f"{FOLDER}/"): file_digest(store / name) for name in files if name.startswith(f"{FOLDER}/")
    }
    card = (out / "README.md").read_text()
    assert REPOSITORY in card
    assert REVISION in card
    assert all(f"| {shard.name} sha256 | {file_digest(shard)} |" in card for shard in shards)
    assert re.search(rf"{FOLDER} of {REPOSITORY} at {REVISION[:12]}, .*Next: rollout_released", capsys.readouterr().out)


def test_the_successors_checkpoint_is_refused_by_name(hub, tmp_path):
    hub.files[f"{FOLDER}/config.json"] = json.dumps(config(action_dim=7, time_horizon=5)).encode()
    assert "'action_dim' is there, so this is a checkpoint of the successor, RynnVLA-002" in refused(tmp_path)
    assert sent_shards(hub) == []


def test_a_model_of_another_vocabulary_is_refused(hub, tmp_path):
    hub.files[f"{FOLDER}/config.json"] = json.dumps(config(vocab_size=32_000)).encode()
    assert "vocab_size is 32000; expected 65536" in refused(tmp_path)
    assert sent_shards(hub) == []


def test_an_index_that_names_a_shard_which_is_not_there_is_refused(hub, tmp_path):
    del hub.files[f"{FOLDER}/model-00002-of-00002.safetensors"]
    message = refused(tmp_path)
    assert (
        f"'{FOLDER}/{INDEX}' of {REPOSITORY} at {REVISION[:12]}: it names 'model-00002-of-00002.safetensors'" in message
    )
    assert sent_shards(hub) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "not a mapping in JSON"),
        (b'{"weight_map": {}}', "the shards that it names are none"),
        (b'{"weight_map": {"a": "../model.safetensors"}}', "are '../model.safetensors' among them"),
    ],
)
def test_an_index_of_something_else_is_refused(content, message, hub, tmp_path):
    hub.files[f"{FOLDER}/{INDEX}"] = content
    assert message in refused(tmp_path)
    assert sent_shards(hub) == []


def test_a_folder_that_is_not_there_is_refused_with_those_that_are(hub, tmp_path):
    message = refused(tmp_path, "model_512/libero_goal")
    assert "no 'model_512/libero_goal/config.json'" in message
    assert f"checkpoints there ({FOLDER})" in message


def test_a_shard_with_other_bytes_than_listed_is_refused(hub, tmp_path):
    shard = f"{FOLDER}/model-00001-of-00002.safetensors"
    hub.faults[shard] = Fault(content=bytes(len(hub.files[shard])))
    assert re.match(rf"'{shard}' of {REPOSITORY} at http.*: sha256 \w+; expected \w+; ", refused(tmp_path))


def test_a_text_tokenizer_out_of_order_is_refused_before_the_vqgan_is_fetched(hub, tmp_path, monkeypatch):
    path = f"{TOKENIZERS}/text_tokenizer.json"
    write_text_tokenizer(tmp_path / "swapped.json", ("IMGIMGFZ", "IMGIMGGZ"))
    hub.files[path] = (tmp_path / "swapped.json").read_bytes()
    entry = replace(published.load("released"), listed={})
    monkeypatch.setattr(published, "load", {"released": entry}.__getitem__)
    with pytest.raises(ValueError, match=r"'IMGIMGFZ' has id 10, expected id 9; .*run the same command$"):
        make_tokenizer(tmp_path)
    assert list(hub.sent) == [path]


def test_another_vqgan_than_the_known_one_is_refused_unfetched(hub, tmp_path):
    hub.files[f"{TOKENIZERS}/vqgan.ckpt"] += b"\0"
    with pytest.raises(
        ValueError, match=rf"^'{TOKENIZERS}/vqgan.ckpt' of {REPOSITORY} at .*: sha256 \w+; expected \w+; if"
    ):
        make_tokenizer(tmp_path)
    assert not hub.sent


def test_a_tokenizer_of_ours_may_be_the_published_one(hub, tmp_path, files):
    """What conf/paper.yaml asks for: both files fetched and verified before anything is measured."""
    sizes = strict.read_yaml(REPOSITORY_ROOT / "conf/paper.yaml")["tokenizer"]
    params = strict.build(TokenizerParams, sizes | {"pixels": 256, "seed": 0, "digests": {}}, "tokenizer")
    found = with_published(params)
    assert found.text_file is not None
    assert found.weights is not None
    assert Path(found.text_file).read_bytes() == files[f"{TOKENIZERS}/text_tokenizer.json"]
    assert Path(found.weights).read_bytes() == files[f"{TOKENIZERS}/vqgan.ckpt"]
