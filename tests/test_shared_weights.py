"""Weights that processes share are read, and written, as those of one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from small_models import small
from test_sharing import BRIEF, CODEBOOK, CPU, SIZES, train_in
from test_training import IDS, NUM_CODES
from together import together

from worldvla.files import folder_digest
from worldvla.model import weights as weights_module
from worldvla.model.chameleon import Chameleon
from worldvla.model.initial import begin, empty
from worldvla.model.ranks import ALONE, Ranks
from worldvla.model.sharding import gathered


@pytest.mark.slow
@pytest.mark.parametrize("norms_per_head", [False, True])
def test_weights_to_begin_with_are_read_by_each_process_for_itself(tmp_path, norms_per_head):
    size = SIZES | {"num_heads": 2}
    write_weights(tmp_path / "start", small(IDS.size, **size), norms_per_head)
    still = replace(BRIEF, learning_rate=1e-12, weight_decay=0.0, steps=1, warmup_steps=0, base=None)
    _, weights = train_in(ALONE, still, tmp_path / "one", None, 1, tmp_path / "start")
    _, found = together(4, train_in, still, tmp_path / "four", None, 1, tmp_path / "start")[0]
    assert weights is not None
    for name, value in weights.items():
        assert np.abs(found[name] - value).max() < 1e-9, name
        assert np.abs(value - small(IDS.size, **size).state_dict()[name].numpy()).max() < 1e-9, name


def write_weights(folder: Path, model: Chameleon, norms_per_head: bool) -> None:
    folder.mkdir()
    weights_module.save(model, folder)
    if not norms_per_head:
        (path,) = folder.glob("*.safetensors")
        state = load_file(path)
        for name in state:
            if name.endswith(weights_module.NORMS):
                state[name] = state[name][:1].contiguous()
        save_file(state, path, {"format": "pt"})


def filled_head(ranks: Ranks, start: Path) -> np.ndarray | None:
    """Return the head that a training from published weights begins with."""
    params = replace(BRIEF, num_heads=2, vocabulary="chameleon", base="lumina")
    model = empty(params, IDS, start, CPU, ranks, False)
    begin(model, params, IDS, CODEBOOK, start)
    whole = gathered(model, ranks)
    return None if whole is None else whole.lm_head.weight.detach().numpy()


@pytest.mark.slow
def test_the_head_of_published_weights_draws_nothing_at_first(tmp_path):
    model = small(IDS.size, **SIZES | {"num_heads": 2})
    write_weights(tmp_path / "start", model, False)
    expected = model.lm_head.weight.detach().clone()
    expected[IDS.first_code : IDS.first_code + NUM_CODES] = 0
    for world in (1, 4):
        found = together(world, filled_head, tmp_path / "start")
        assert np.array_equal(found[0], expected.numpy())
        assert found[1:] == [None] * (world - 1)


def exported(ranks: Ranks, start: Path, out: Path) -> None:
    """Write the model of a folder again, from processes that share it."""
    model = empty(replace(BRIEF, num_heads=2), IDS, start, CPU, ranks, False)
    begin(model, BRIEF, IDS, CODEBOOK, start)
    whole = gathered(model, ranks)
    if whole is not None:
        out.mkdir()
        weights_module.save(whole, out)


@pytest.mark.slow
def test_the_folder_of_a_shared_model_has_the_same_bytes(tmp_path):
    write_weights(tmp_path / "start", small(IDS.size, **SIZES | {"num_heads": 2}), True)
    together(4, exported, tmp_path / "start", tmp_path / "out")
    assert folder_digest(tmp_path / "out") == folder_digest(tmp_path / "start")
