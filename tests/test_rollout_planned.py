"""The stage that rolls out a policy that looks ahead: a greedy rollout with one candidate, its own rows with more."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from test_rollout import FakeSimulator
from test_rollout_stage import SECTION
from toy_policy import CHUNK, HISTORY, write_project, write_tokenizer

from pipeline import rollout, rollout_planned
from worldvla.files import folder_digest
from worldvla.model.settings import ModelSettings
from worldvla.running.cores import STAGE_CORES
from worldvla.simulation import libero
from worldvla.stage_code import code_digest

ASKED = SECTION | {"chunk": CHUNK, "history": HISTORY, "mask": "action", "init_states_per_task": 6, "films_per_task": 0}


class Feeling(FakeSimulator):
    """Accomplished by how far all joints have moved, each of which its frames show: no two chunks do the same."""

    def step(self, action: np.ndarray) -> bool:
        super().step(action)
        return bool(abs(self.sum).sum() > 3 * self.wanted)

    def frame(self, pixels: int | None = None) -> np.ndarray:
        shades = np.resize(100 * self.sum + 10 * self.task.index, 256).astype(np.int64) % 256
        return np.repeat(shades.astype(np.uint8).reshape(16, 16, 1), 3, axis=2)


@pytest.fixture
def stage(tmp_path, monkeypatch, units_here):
    """Return what runs a stage of rollouts of a small random model on fake simulators."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STAGE_CORES, "1")
    model, tokenizer = write_project(tmp_path), tmp_path / "data/tokenizer/goal-main"
    images = write_tokenizer(tokenizer, pixels=16)
    ModelSettings("compact", ("action", "world"), "release", "action", CHUNK, HISTORY, images.digest).save(model)
    monkeypatch.setattr(libero, "init_states", lambda task: [np.array([number + 0.2]) for number in range(50)])
    monkeypatch.setattr(libero, "Environment", Feeling)

    def run_stage(module, out: str, section: dict) -> Path:
        Path("params.yaml").write_text(yaml.safe_dump({module.__name__.removeprefix("pipeline."): section}))
        paths = {"params": Path("params.yaml"), "model": model, "tokenizer": tokenizer}
        module.main(**paths, out=Path(out), timing=Path(f"{out}.json"))
        return Path(out)

    return run_stage


def test_its_rows_are_those_of_greedy_rollouts_with_one_candidate_alone(stage):
    greedy = stage(rollout, "greedy", ASKED)
    one, many, again = (
        stage(rollout_planned, name, ASKED | {"candidates": number, "temperature": 0.1})
        for name, number in (("one", 1), ("many", 16), ("again", 16))
    )
    rows = {folder.name: pq.read_table(folder / "episodes.parquet").to_pylist() for folder in (greedy, one, many)}
    assert rows["one"] == rows["greedy"]
    assert rows["many"] != rows["greedy"]
    assert [row["init_state"] for row in rows["many"]] == [row["init_state"] for row in rows["greedy"]]
    assert folder_digest(again) == folder_digest(many)
    made_of = {folder.name: json.loads((folder / "made_of.json").read_text()) for folder in (greedy, one, many)}
    assert len({one["params"] for one in made_of.values()}) == 3
    assert len({one["weights"] for one in made_of.values()}) == 1
    assert made_of["many"]["code"] == code_digest("rollout_planned") != made_of["greedy"]["code"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"candidates": 0}, "candidates is 0; expected at least 1"), ({"temperature": 0.0}, "expected a number above 0")],
)
def test_what_it_chooses_among_is_checked(stage, changes, words):
    with pytest.raises(ValueError, match=words):
        stage(rollout_planned, "out", ASKED | {"candidates": 2, "temperature": 1.0} | changes)
