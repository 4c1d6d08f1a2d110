"""The stages train and finetune: which episodes they read, what they write, and when they train again."""

import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from test_training import ACTIONS, ACTIONS_ALONE, NUM_CODES, PARAMS, TEXTS, random_episodes

from pipeline import finetune
from pipeline import train as train_stage
from worldvla.data.shards import write_shards
from worldvla.files import file_digest, folder_digest
from worldvla.model import card as card_of
from worldvla.model.training import train
from worldvla.stage_code import code_digest


def run_stage(tmp_path, monkeypatch, episodes="train"):
    """Write what the stage reads, unless it is there, and run it; return the pools of samples that it trained on."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, count) in enumerate({"train": 4, "val_ind": 1, "val_ood": 2}.items()):
        write_shards(tmp_path / "shards" / name, random_episodes(seed, count), per_shard=2)
    (tmp_path / "tokenizer").mkdir(exist_ok=True)
    TEXTS.save(tmp_path / "tokenizer" / "text.json")
    ACTIONS.save(tmp_path / "tokenizer" / "actions.json")
    images = SimpleNamespace(num_codes=NUM_CODES, codebook=np.ones((NUM_CODES, 8), np.float32), digest="vqgan")
    monkeypatch.setattr(train_stage, "ImageTokenizer", SimpleNamespace(load=lambda _: images))
    pools = []
    monkeypatch.setattr(train_stage, "train", lambda *args: pools.append(args[3]) or train(*args))
    section = asdict(replace(ACTIONS_ALONE, episodes=episodes, steps=2, warmup_steps=0)) | {"samples": ["action"]}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump({"train": section}))
    flags = {name: tmp_path / name for name in ("shards", "tokenizer", "out")}
    train_stage.main(params=tmp_path / "resolved.yaml", timing=tmp_path / "timing.json", **flags)
    return pools


@pytest.mark.parametrize(
    ("episodes", "pool", "card"),
    [("train", 4, "4 of train"), ("all", 4 + 1 + 2, "4 of train, 1 of val_ind, 2 of val_ood")],
)
def test_a_run_trains_on_the_episodes_that_its_variant_names(tmp_path, monkeypatch, capsys, episodes, pool, card):
    pools = run_stage(tmp_path, monkeypatch, episodes)
    assert len(pools[0]) == pool * (12 - 1)
    validated = pq.read_table(tmp_path / "out/curve.parquet")["validation_loss"].to_pylist()
    assert validated[0] is None
    assert (validated[1] is None) == (episodes == "all")
    assert ("validation loss not measured" in capsys.readouterr().out) == (episodes == "all")
    written = (tmp_path / "out/README.md").read_text()
    assert f"| trained on episodes | {card} |" in written
    assert ("| validation loss | not measured |" in written) == (episodes == "all")
    assert (tmp_path / "out/curve.png").is_file()
    made_of = card_of.made_of(tmp_path / "out")
    params = replace(ACTIONS_ALONE, episodes=episodes, steps=2, warmup_steps=0)
    assert made_of["recipe"] == card_of.recipe(params) == card_of.recipe(replace(params, seed=7))
    assert made_of["recipe"] != card_of.recipe(replace(params, batch=1))
    assert made_of["trained_by"] == code_digest("train")
    assert made_of["data"] == folder_digest(tmp_path / "shards")


def test_a_run_that_is_killed_before_dvc_has_saved_it_is_not_trained_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DVC_STAGE", "train@world-goal")
    run_stage(tmp_path, monkeypatch)
    (work,) = (tmp_path / "work/train").iterdir()
    weights_before = file_digest(tmp_path / "out/model.safetensors")
    shutil.rmtree(tmp_path / "out")  # as DVC does before it runs a stage
    capsys.readouterr()
    run_stage(tmp_path, monkeypatch)
    assert "train: going on from step 2" in capsys.readouterr().out
    assert file_digest(tmp_path / "out/model.safetensors") == weights_before
    assert work.is_dir()


def test_the_release_trains_with_the_scene_before_the_instruction():
    name = "KITCHEN_SCENE3_turn_on_the_stove"
    given = [replace(one, task=name, language="turn on the stove") for one in random_episodes(0, 1)]
    asked_as = train_stage.asked_as
    assert asked_as(PARAMS, given) is given
    assert asked_as(replace(PARAMS, scene_prefix=True), given)[0].language == "KITCHEN SCENE3 turn on the stove"


def test_the_stage_names_the_run_to_train_first(tmp_path):
    resolved = tmp_path / "resolved.yaml"
    section = {**asdict(PARAMS), "samples": ["action"], "start": "world"}
    resolved.write_text(yaml.safe_dump({"finetune": section}))
    rest = {name: tmp_path for name in ("shards", "tokenizer", "out", "timing")}
    with pytest.raises(ValueError, match=r"world-goal-2: no such folder; .* Run: dvc repro train@world-goal-2"):
        finetune.main(params=resolved, start=tmp_path / "world-goal-2", **rest)
    with pytest.raises(
        ValueError, match=r"goal-2: .* expected a run of 'world', .*: world-<suite>-<training>. Run: dvc repro resolve"
    ):
        finetune.main(params=resolved, start=tmp_path / "world_small-goal-2", **rest)
