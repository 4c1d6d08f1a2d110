"""The benchmark of trainings of the published size runs, at a small one here, and both ways compute the same."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from benchmarks import training_seven_billion as benchmark
from benchmarks.flex import flexible
from benchmarks.released_step import hits, mask_of_tokens
from benchmarks.training_seven_billion import Sizes
from worldvla.masks import mask_of
from worldvla.model import kernels, placement
from worldvla.model.batches import collate
from worldvla.model.config import ChameleonConfig
from worldvla.model.size import Size
from worldvla.sequences import IGNORED
from worldvla.vocabulary import CHAMELEON

CPU = torch.device("cpu")
SMALL = Sizes(ChameleonConfig(CHAMELEON.size, 32, 5, 2, 64), (1, 2), tokens=300, device=CPU)


@pytest.fixture(autouse=True)
def fp32(monkeypatch):
    monkeypatch.setattr(placement, "training", lambda device: torch.float32)
    monkeypatch.setattr("benchmarks.clock.REPEATS", 1)


@pytest.mark.slow
def test_every_way_has_its_row_and_the_loss_of_the_others():
    found = list(benchmark.rows(SMALL, (64,), benchmark.WAYS))
    assert [row.way for row in found] == ["released", "ours", "ours, dropout", "ours, nothing twice"]
    losses = {row.way: row.loss for row in found}
    assert losses["ours"] == pytest.approx(losses["released"], rel=1e-5)
    assert losses["ours, nothing twice"] == losses["ours"]
    assert losses["ours, dropout"] != losses["ours"]
    assert losses["ours, dropout"] == pytest.approx(losses["ours"], rel=0.2)
    samples = SMALL.samples(64)
    assert len(samples) == 2
    for row in found:
        assert row.measured is not None
        few, many = row.measured
        assert row.whole == pytest.approx(few + 4 * (many - few))
        assert row.tokens == sum(sample.tokens.size for sample in samples)
        assert row.flops == 2 * Size.of(SMALL.config).training(samples[0].tokens.size, 46)
        assert row.ratio == found[0].whole / row.whole
        assert row.line(None).split()[-3:] == ["-", "-", f"{row.ratio:.2f}"]
    row = replace(found[0], whole=2.0)
    assert row.line(row.flops).split()[-3:] == ["50.0", "-", "1.00"]


def test_a_way_that_does_not_fit_is_a_row_too():
    def too_large(sizes, samples):
        raise torch.OutOfMemoryError

    large, fitting = benchmark.rows(SMALL, (64,), {"too large": too_large, "ours": benchmark.ours})
    assert large.line(1.0) == "  64 px  too large            does not fit"
    assert fitting.line(1.0).endswith(" nan")


def test_gradients_of_both_ways_are_equal():
    sizes = replace(SMALL, config=replace(SMALL.config, num_layers=2))
    found = []
    for way in ("ours", "released"):
        model, gradients = benchmark.WAYS[way](sizes, sizes.samples(64))
        gradients()
        found.append({name: value.grad for name, value in model.named_parameters()})
    for name, value in found[0].items():
        other = found[1][name]
        if other.shape != value.shape:  # every head has a norm there
            other = other.sum(dim=0, keepdim=True)
        assert torch.allclose(value, other, rtol=1e-3, atol=1e-6), name


def test_the_lengths_are_those_of_the_paper():
    sizes = replace(SMALL, tokens=16_384, device=torch.device("cuda"))
    lengths = {side: [sample.tokens.size for sample in sizes.samples(side)] for side in (256, 512)}
    assert lengths == {256: [620] * 25, 512: [2188] * 7}


def test_a_step_on_a_cpu_gives_the_same_bits_twice():
    off, on = benchmark.determinism(SMALL, (64,))
    assert off == "  64 px  deterministic algorithms off  the same bits"
    assert on.startswith("  64 px  deterministic algorithms on   the same bits  ")
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_released_mask_and_flex_attention_see_what_ours_sees():
    (batch,) = collate(SMALL.samples(64), "action")
    assert batch.lanes is not None
    mask = mask_of(batch.lanes)
    assert torch.equal(mask_of_tokens(batch.tokens, CHAMELEON), mask)
    random = torch.Generator().manual_seed(0)
    size, length = batch.tokens.shape
    queries, keys, values = (torch.randn(size, 2, length, 16, generator=random) for _ in range(3))
    with torch.no_grad():
        expected = kernels.attention(queries, keys, values, kernels.additive(mask, torch.float32))
        found = flexible(batch.lanes, flex_attention)(queries, keys, values, None)
    assert torch.allclose(found, expected, atol=1e-5)


def test_hits_are_shares_of_the_answered_tokens():
    first = CHAMELEON.first_bin
    labels = torch.tensor([IGNORED, first, first + 1, CHAMELEON.end_action])
    assert hits(torch.tensor([7, first, first, CHAMELEON.end_action]), labels, CHAMELEON) == (0.5, 1.0)


def test_without_a_gpu_the_benchmark_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here; expected one of 80 GB"):
        benchmark.main()
