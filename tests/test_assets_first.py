"""LIBERO's assets are asked for before a stage starts its workers, or fetches gigabytes for them."""

from pathlib import Path

import pytest
import yaml

from pipeline import download, filter, released_model, rollout
from worldvla.simulation.tasks import task_names

SCENES = {"benchmark": "libero", "suite": "object", "tasks": [0], "seed": 0}
SECTIONS = {
    "download": SCENES | {"demonstrations": "scripted", "folder": None, "demonstrations_per_task": 1, "digests": {}},
    "filter": SCENES | {"looks": "simple", "pixels": 32},
    "rollout": SCENES
    | {"looks": "simple", "pixels": 32, "chunk": 1, "history": 1, "mask": "causal", "no_bin": "fail", "graphs": False}
    | {"init_states_per_task": 1, "environments": 1, "max_steps": 9, "films_per_task": 0},
    "released_model": {"folder": "model_256/libero_object", "chunk": 5, "history": 2, "mask": "action"},
}


@pytest.fixture
def params(tmp_path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(SECTIONS))
    (tmp_path / f"{task_names('libero', 'object')[0]}_demo.hdf5").touch()
    return path


@pytest.mark.parametrize("stage", [download, filter, released_model, rollout], ids=lambda stage: stage.__name__)
def test_assets_are_asked_for_before_workers_start(stage, params, tmp_path, monkeypatch):
    def ask(benchmark: str) -> None:
        assert benchmark == "libero"
        raise ValueError("asked")

    monkeypatch.setattr(stage, "ensure_assets", ask)
    paths = {"raw": tmp_path, "model": tmp_path, "tokenizer": tmp_path, "timing": tmp_path / "timing.json"}
    taken = {name: path for name, path in paths.items() if name in stage.main.__annotations__}
    with pytest.raises(ValueError, match=r"^asked$"):
        stage.main(params=params, out=tmp_path / "out", **taken)
    assert not (tmp_path / "out").exists()
