"""The weights before the first step: drawn, another run's, or published ones. Every process holds its rows alone."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from worldvla.model import placement, sharding, weights
from worldvla.model.chameleon import Chameleon, Layer
from worldvla.model.config import ChameleonConfig
from worldvla.model.ranks import ALONE, Ranks
from worldvla.model.rows import fill
from worldvla.params.train import TrainParams
from worldvla.vocabulary import Vocabulary

INITIAL_STD = 0.02  # Chameleon's initial standard deviation of weights
# Of a code's embedding: larger, so that the first steps do not wipe out which codes look alike (decision 33).
CODE_STD = 0.3


def check(params: TrainParams, ids: Vocabulary, start: Path | None, ranks: Ranks = ALONE) -> ChameleonConfig:
    """Return the sizes of a run's model, if it can be trained here; before any weight is read.

    Args:
        params: sizes and schedule.
        ids: the vocabulary.
        start: folder of the model to start from, of which only the config is read.
        ranks: the processes that share it.

    Raises:
        ValueError: the model to start from has other sizes, or the memory is too small.
    """
    config = ChameleonConfig.of(ids.size, params)
    if start is not None and (found := weights.read_config(start)) != config:
        raise ValueError(
            f"{start}: got a model of {found}, expected {config}; it was trained with other sizes; correct train in conf/"
        )
    placement.check_training(config, params.batch * ids.num_codes, placement.device(), ranks.world, ranks.machines)
    return config


def empty(
    params: TrainParams, ids: Vocabulary, start: Path | None, device: torch.device, ranks: Ranks, recompute: bool
) -> Chameleon:
    """Return the model without its weights, spread over the processes.

    Raises:
        ValueError: as ``check``.
    """
    config = check(params, ids, start, ranks)
    with torch.device("meta"):
        model = Chameleon(config, params.dropout)
    for layer in model.model.layers:
        assert isinstance(layer, Layer)
        layer.recompute = recompute
    if ranks.mesh is not None:
        sharding.shard(model, ranks)
    return model.to_empty(device=device)


def begin(model: Chameleon, params: TrainParams, ids: Vocabulary, codebook: np.ndarray, start: Path | None) -> None:
    """Set the weights before the first step; the same however many processes share them.

    Args:
        model: of ``empty``.
        params: what to begin with, and
        ids: the vocabulary.
        codebook: [num_codes, dim] of the image tokenizer.
        start: folder of the weights to begin with; None: they are drawn.
    """
    if start is None:
        _draw(model, ids, codebook)
        return
    weights.read_into(model, start)
    if params.base is not None:
        # As the release began (its `starting_point`).
        fill(model.lm_head.weight, torch.zeros(ids.num_codes, model.config.hidden_size), ids.first_code)


def _draw(model: Chameleon, ids: Vocabulary, codebook: np.ndarray) -> None:
    """Draw the weights from torch's global random state; embeddings of codes as a projection of the codebook.

    Every process draws every weight, one at a time and on the CPU, and keeps its rows: so they are the same for any number of
    processes and on every device.
    """
    for name, parameter in model.named_parameters():
        whole = torch.empty(parameter.shape)
        if "norm" in name:
            whole.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            nn.init.normal_(whole, std=INITIAL_STD)
        fill(parameter, whole)
    table = torch.from_numpy(codebook)
    table = (table - table.mean(dim=0)) / table.std(dim=0).clamp_min(1e-6)
    projection = torch.randn(table.shape[1], model.config.hidden_size) / table.shape[1] ** 0.5
    fill(model.model.embed_tokens.weight, table @ projection * CODE_STD, ids.first_code)
