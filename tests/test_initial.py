"""A model that starts from nothing knows from the tokenizer which codes look alike, and still does after its first steps."""

from dataclasses import replace

import numpy as np
import torch
from test_training import IDS, NUM_CODES, PARAMS, run_training

from worldvla.model import initial
from worldvla.model.ranks import ALONE

CODEBOOK = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)  # the one of `run_training`


def agreement(embeddings: torch.Tensor) -> float:
    """Correlation of the distances between codes' embeddings with those between their entries of the codebook."""
    pairs = torch.triu_indices(NUM_CODES, NUM_CODES, 1).unbind()
    far = [torch.cdist(points, points)[pairs] for points in (embeddings.double(), torch.from_numpy(CODEBOOK).double())]
    return float(torch.corrcoef(torch.stack(far))[0, 1])


def codes_of(model: torch.nn.Module) -> torch.Tensor:
    return model.get_parameter("model.embed_tokens.weight").detach()[IDS.first_code : IDS.first_code + NUM_CODES]


def test_codes_begin_as_a_projection_of_the_codebook_larger_than_all_else():
    torch.manual_seed(0)
    params = replace(PARAMS, hidden_size=256)
    model = initial.empty(params, IDS, None, torch.device("cpu"), ALONE, recompute=False)
    initial.begin(model, params, IDS, CODEBOOK, None)
    assert agreement(codes_of(model)) > 0.9
    assert 0.25 < codes_of(model).std() < 0.35
    others = [weight for name, weight in model.named_parameters() if "norm" not in name and "embed" not in name]
    assert all(0.019 < weight.std() < 0.021 for weight in others)


def test_codes_that_look_alike_still_do_after_the_first_steps(tmp_path):
    trained = run_training(tmp_path, replace(PARAMS, steps=50))
    assert agreement(codes_of(trained.model)) > 0.8  # beginning at 0.02: 0.31
