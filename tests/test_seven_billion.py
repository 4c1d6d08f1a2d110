"""The benchmark of the published size runs, at a small one here; on a GPU, graphs give what plain decoding gives."""

import pytest
import torch

from benchmarks import seven_billion
from benchmarks.random_models import random_model
from worldvla.model.config import ChameleonConfig
from worldvla.model.decoding import decode_lanes, decode_sequentially
from worldvla.model.graphs import Graphs
from worldvla.vocabulary import CHAMELEON

ON_A_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
SMALL = ChameleonConfig(CHAMELEON.size, 32, 3, 2, 64)


@pytest.mark.slow
def test_every_table_has_its_lines(monkeypatch):
    monkeypatch.setattr("benchmarks.clock.REPEATS", 1)
    model = random_model(SMALL)
    assert len(list(seven_billion.queries(model, (64,), (1, 2), (2,)))) == 4
    assert len(list(seven_billion.frames(model, (64,), 2))) == 1


def test_without_a_gpu_the_benchmark_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here; expected one of 80 GB"):
        seven_billion.main()


@pytest.mark.parametrize("decode", [decode_lanes, decode_sequentially])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
def test_graphs_choose_the_tokens_of_plain_decoding(decode, device):
    model = random_model(SMALL, device, std=0.2)
    graphs = Graphs(lambda prompts: decode(model, CHAMELEON, prompts, 3))
    for seed, shape in enumerate([(2, 40), (1, 30), (2, 40)]):
        prompts = torch.randint(1, CHAMELEON.size, shape, generator=torch.Generator().manual_seed(seed)).to(device)
        assert torch.equal(graphs(prompts), decode(model, CHAMELEON, prompts, 3))
    assert len(graphs._recorded) == (2 if device == "cuda" else 0)
