"""Which weights Muon moves, how far, and that it goes on after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_sharing import BRIEF, cut_off, train_in
from test_training import IDS, PARAMS

from worldvla.model.initial import empty
from worldvla.model.muon import Muon, orthogonal
from worldvla.model.optimizers import Optimizers
from worldvla.model.ranks import ALONE
from worldvla.params.train import TrainParams

MUON = replace(PARAMS, muon_learning_rate=0.01, weight_decay=0.0)


def one_step(params: TrainParams, share: float) -> dict[str, np.ndarray]:
    """Return by how much one step of random gradients moves every weight."""
    model = empty(params, IDS, None, torch.device("cpu"), ALONE, False)
    optimizers = Optimizers(model, params)
    random = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
        weight.grad = torch.randn(weight.shape, generator=random)
    optimizers.step(share)
    assert all(weight.grad is None for weight in model.parameters())
    return {name: weight.detach().numpy() for name, weight in model.named_parameters()}


def test_muon_moves_the_matrices_of_the_layers_in_all_directions_alike_and_nothing_else():
    moved, plain = one_step(MUON, 0.5), one_step(replace(MUON, muon_learning_rate=None), 0.5)
    matrices = {name for name in moved if not np.array_equal(moved[name], plain[name])}
    assert matrices == {name for name in moved if name.startswith("model.layers.") and name.endswith("_proj.weight")}
    assert len(matrices) == 7
    for name in matrices:
        rows, columns = moved[name].shape
        stretch = np.linalg.svd(moved[name] / (0.5 * 0.01 * max(1, rows / columns) ** 0.5), compute_uv=False)
        # Near one, not at it, after four iterations.
        assert 0.4 < np.quantile(stretch, 0.1) <= stretch.max() < 1.6, name


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (8, 40), (40, 8)])
def test_all_but_the_iteration_is_torchs(shape, monkeypatch):
    # Named in no documentation, but it is the one place of torch's where the iteration is.
    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", lambda matrix, *_: orthogonal(matrix))
    random = torch.Generator().manual_seed(0)
    begin, *gradients = torch.randn(4, *shape, generator=random)
    ended = []
    for kind in (Muon, torch.optim.Muon):
        weight = torch.nn.Parameter(begin.clone())
        optimizer = kind([weight], lr=0.1, weight_decay=0.1, momentum=0.95)
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
        ended.append(weight.detach())
    torch.testing.assert_close(*ended)


@pytest.mark.parametrize("shape", [(24, 24), (24, 40), (40, 24), (24, 80), (80, 24)])
def test_the_iteration_keeps_directions_and_brings_their_stretch_near_one(shape):
    """Of singular values from 1 to a thousandth of the norm; those that are zero stay zero."""
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.standard_normal((side, 24)))[0] for side in shape)
    stretch = np.append(np.geomspace(1, 3e-3, 23), 0)
    found = orthogonal(torch.from_numpy((left * stretch) @ right.T).float()).double().numpy()
    along = left.T @ found @ right
    assert np.abs(found - (left * along.diagonal()) @ right.T).max() < 1e-3
    assert ((along.diagonal()[:-1] > 0.43) & (along.diagonal()[:-1] < 1.57)).all()
    assert abs(along[-1, -1]) < 1e-3


@pytest.mark.slow
def test_a_training_with_muon_goes_on_with_the_same_bits(tmp_path: Path):
    params = replace(BRIEF, muon_learning_rate=0.01)
    whole, weights = train_in(ALONE, params, tmp_path / "whole", 60, 8)
    cut_off(ALONE, params, tmp_path / "cut", 7)
    curve, found = train_in(ALONE, params, tmp_path / "cut", 60, 8)
    assert curve == whole
    assert weights is not None
    assert found is not None
    assert all(np.array_equal(found[name], value) for name, value in weights.items())
