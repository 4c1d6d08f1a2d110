"""Which weights Muon moves, how far, and that it goes on after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_sharing import BRIEF, cut_off, train_in
from test_training import IDS, PARAMS

from worldvla.model.initial import empty
from worldvla.model.muon import Muon
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
        # Near one, not at it, after five Newton-Schulz iterations; a direction of next to nothing takes more of them.
        assert 0.6 < np.quantile(stretch, 0.1) <= stretch.max() < 1.3, name


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_muon_is_torchs_to_the_rounding_of_its_type(shape):
    random = torch.Generator().manual_seed(0)
    begin, *gradients = torch.randn(4, *shape, generator=random)
    ended = []
    for kind in (Muon, torch.optim.Muon):
        weight = torch.nn.Parameter(begin.clone())
        optimizer = kind([weight], lr=0.1, weight_decay=0.1, momentum=0.95)
        for gradient in gradients:
            weight.grad = gradient
            optimizer.step()
        ended.append(weight.detach() - begin)
    assert (ended[0] - ended[1]).norm() < 0.02 * ended[1].norm()


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
