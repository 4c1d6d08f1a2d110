"""Many processes train the same model as one."""

import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training import ACTIONS_ALONE, IDS, NUM_CODES, PARAMS, windows
from together import together
from torch.distributed.tensor import DTensor

from worldvla.files import FULL_DISK
from worldvla.model import placement, sharding
from worldvla.model.batches import filled
from worldvla.model.chameleon import Linear, RMSNorm
from worldvla.model.initial import begin, empty
from worldvla.model.losses import AnswerLoss, Loss
from worldvla.model.ranks import ALONE, Ranks
from worldvla.model.step import Share, Steps
from worldvla.model.training import Spread, train
from worldvla.params.train import TrainParams

CPU = torch.device("cpu")
CODEBOOK = np.random.default_rng(9).normal(size=(NUM_CODES, 8)).astype(np.float32)
# Layers of a width that four processes do not share evenly.
SIZES = {"num_layers": 2, "hidden_size": 36, "intermediate_size": 66}
JOINT = replace(PARAMS, batch=6, **SIZES)
KINDS = {
    "joint": JOINT,
    "action": replace(ACTIONS_ALONE, batch=6, **SIZES),
    "world": replace(JOINT, samples=("world",)),
    "paper": replace(JOINT, alpha_on="paper"),
    "paper, world": replace(JOINT, samples=("world",), alpha_on="paper"),
    "muon": replace(JOINT, muon_learning_rate=0.01),
    "fewer samples than processes": replace(JOINT, batch=3),
}


@pytest.fixture(autouse=True)
def fp32(monkeypatch):
    monkeypatch.setattr(placement, "training", lambda device: torch.float32)


def gradients(ranks: Ranks, params: TrainParams, tokens: int | None, bucket: int, recompute: bool = False):
    """Return the loss and the gradients of step 3, and the number of forwards."""
    placement.training = lambda device: torch.float32
    model = empty(params, IDS, None, CPU, ranks, recompute).train()
    torch.manual_seed(0)
    begin(model, params, IDS, CODEBOOK, None)
    steps = Steps(model, AnswerLoss.of(IDS, params), params, ranks, CPU, tokens, bucket)
    share = steps.share(windows(0, params), list(range(3, 3 + 7 * params.batch, 7)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "_forward", partialmethod(_looked_at, Steps._forward))
        loss = steps.gradients(share, 3)
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[name] = (parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad).numpy()
    parts = torch.cat([torch.stack([loss.total, loss.cross_entropy, loss.z]).detach(), loss.means, loss.shares])
    return parts.numpy(), found, len(share.forwards)


def _looked_at(self: Steps, forward: Callable, share: Share, number: int, parts: list) -> Any:
    """Compute a forward, before which a process has its rows of all gradients so far: none waits whole for the last one."""
    for name, parameter in self.model.named_parameters():
        assert (parameter.grad is None) == (number == 0), name
        assert parameter.grad is None or isinstance(parameter.grad, DTensor) == (self.ranks.world > 1), name
    return forward(self, share, number, parts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "muon"])
def test_gradients_are_those_of_one_process(kind):
    params = KINDS[kind]
    loss, expected, forwards = gradients(ALONE, params, None, 1)
    assert forwards == 1
    for world, tokens, bucket, recompute in (
        (2, None, 1, True),
        (4, None, 8, False),
        (2, 40, 1, False),
        (4, 40, 16, True),
    ):
        everywhere = together(world, gradients, params, tokens, bucket, recompute)
        assert len({found[2] for found in everywhere}) == 1
        for parts, found, _ in everywhere:
            assert parts == pytest.approx(loss, rel=1e-6, abs=1e-6, nan_ok=True)
            for name, value in expected.items():
                assert np.abs(found[name] - value).max() < 1e-6, name


def test_forwards_are_filled_by_tokens_and_a_longer_sample_goes_alone():
    pool = windows(0)
    samples = [pool[index] for index in (0, 1, 2, 60, 61)]
    sizes = [sample.tokens.size for sample in samples]
    assert [len(group) for group in filled(samples, None, 1)] == [5]
    assert [len(group) for group in filled(samples, 1, 1)] == [1] * 5
    groups = filled(samples, sizes[0] + sizes[1], 1)
    assert len(groups[0]) == 2
    assert [sample for group in groups for sample in group] == samples
    # What counts is what is computed, padding too.
    assert len(filled(samples, sizes[0] + sizes[1], 64)) > len(groups)


def test_layers_computed_again_give_the_same_bits_with_the_same_dropped(tmp_path):
    params = replace(BRIEF, dropout=0.2)
    curve, weights = train_in(ALONE, params, tmp_path / "kept", None, 1)
    again, found = train_in(ALONE, params, tmp_path / "again", None, 1, recompute=True)
    assert again == curve
    assert weights is not None
    assert found is not None
    assert all(np.array_equal(found[name], value) for name, value in weights.items())


def train_in(
    ranks: Ranks,
    params: TrainParams,
    work: Path,
    tokens: int | None,
    bucket: int,
    start: Path | None = None,
    recompute: bool = False,
) -> tuple[list, dict | None]:
    """Return the curve and weights of a training; those of the first process."""
    placement.training = lambda device: torch.float32
    trained = train(
        params,
        IDS,
        CODEBOOK,
        windows(0, params),
        windows(1, params),
        work,
        start,
        Spread(ranks, tokens, recompute, bucket),
    )
    if trained is None:
        return [], None
    return trained.curve, {name: value.numpy() for name, value in trained.model.state_dict().items()}


BRIEF = replace(JOINT, steps=4, warmup_steps=2, validate_every=4, checkpoint_every=3, learning_rate=1e-3)


def same(curve: list, other: list, atol: float) -> None:
    assert [row.keys() for row in curve] == [row.keys() for row in other]
    for row, expected in zip(curve, other, strict=True):
        for name, value in expected.items():
            assert row[name] == (value if value is None else pytest.approx(value, rel=atol, abs=atol)), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["joint", "action", "paper, world", "muon"])
def test_curves_are_those_of_one_process(tmp_path, kind):
    params = replace(KINDS[kind], steps=4, warmup_steps=2, validate_every=4, checkpoint_every=3, learning_rate=1e-3)
    curve, weights = train_in(ALONE, params, tmp_path / "one", None, 1)
    assert weights is not None
    for world, tokens, bucket in ((1, 60, 8), (2, None, 1), (4, 60, 8)):
        shared, found = together(world, train_in, params, tmp_path / f"{world}", tokens, bucket)[0]
        same(shared, curve, 1e-4)
        assert shared[0]["loss"] == pytest.approx(curve[0]["loss"], rel=1e-6)
        for name, value in weights.items():
            assert np.abs(found[name] - value).max() < 2e-4, name  # a fifth of one step of Adam


def cut_off(ranks: Ranks, params: TrainParams, work: Path, at: int) -> None:
    """Train until a step, whose loss is not a number any more."""
    gradients = Steps.gradients

    def faulty(self: Steps, share: Share, step: int) -> Loss:
        found = gradients(self, share, step)
        return replace(found, total=found.total * float("nan")) if step == at else found

    Steps.gradients = faulty
    with pytest.raises(ValueError, match=f"^train step {at + 1}: the loss is not finite"):
        train_in(ranks, params, work, 60, 8)
    Steps.gradients = gradients


@pytest.mark.slow
@pytest.mark.parametrize("before", [1, 2])
def test_a_training_that_ended_early_goes_on_in_as_many_processes_exactly_and_in_others_to_rounding(tmp_path, before):
    params = replace(BRIEF, dropout=0.1, validate_every=3)  # the checkpoints are of steps that are validated
    whole, weights = together(before, train_in, params, tmp_path / "whole", 60, 8)[0]
    together(before, cut_off, params, tmp_path / "cut", 7)
    assert sorted(path.name for path in (tmp_path / "cut").glob("*step*")) == ["step-00000003", "step-00000006"]
    for after in (1, 2, 4):
        work = tmp_path / f"{after}"
        shutil.copytree(tmp_path / "cut", work)
        curve, found = together(after, train_in, params, work, 60, 8)[0]
        assert sorted(path.name for path in work.glob("*step*")) == ["step-00000006", "step-00000008"]
        assert curve[:6] == whole[:6]
        if after == before:
            assert curve == whole
        else:
            same(curve[6:], whole[6:], 0.05)  # other tokens are dropped
        for name, value in weights.items():
            assert np.abs(found[name] - value).max() <= (0 if after == before else 0.02), name


@pytest.mark.slow
@pytest.mark.parametrize(("before", "others"), [(1, [2]), (2, [1, 4])])
def test_without_dropout_a_training_goes_on_in_any_number_of_processes_as_if_in_one(tmp_path, before, others):
    params = replace(BRIEF, validate_every=3)
    whole, weights = train_in(ALONE, params, tmp_path / "whole", None, 1)
    assert weights is not None
    together(before, cut_off, params, tmp_path / "cut", 7)
    for after in others:
        work = tmp_path / f"{after}"
        shutil.copytree(tmp_path / "cut", work)
        curve, found = together(after, train_in, params, work, 60, 8)[0]
        assert len(curve) == 8
        same(curve, whole, 1e-5)
        for name, value in weights.items():
            assert np.abs(found[name] - value).max() < 1e-5, name  # a hundredth of one step of Adam


def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, capsys):
    whole, weights = train_in(ALONE, BRIEF, tmp_path / "whole", None, 1)
    cut_off(ALONE, BRIEF, tmp_path / "cut", 7)
    for path in (tmp_path / "cut/step-00000006").glob("*.distcp"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    capsys.readouterr()
    curve, found = train_in(ALONE, BRIEF, tmp_path / "cut", None, 1)
    said = capsys.readouterr().out
    assert "step-00000006: cannot be read; expected the checkpoint of an interrupted run; set aside" in said
    assert "train: going on from step 3" in said
    same(curve, whole, 1e-4)  # until step 3 the other one took its samples in several forwards
    for path in (tmp_path / "cut").glob("step-*[0-9]"):
        shutil.rmtree(path)
    (tmp_path / "cut/step-00000008").mkdir()
    again, found = train_in(ALONE, BRIEF, tmp_path / "cut", None, 1)
    assert again == whole
    assert weights is not None
    assert found is not None
    assert all(np.array_equal(found[name], value) for name, value in weights.items())


def test_a_checkpoint_of_another_model_or_vocabulary_is_refused(tmp_path):
    train_in(ALONE, BRIEF, tmp_path, None, 1)
    for other, what in (
        (replace(BRIEF, intermediate_size=64), "model: .*'intermediate_size': 66"),
        (replace(BRIEF, vocabulary="chameleon"), "vocabulary: compact; expected chameleon"),
    ):
        with pytest.raises(ValueError, match=rf"step-00000008: a checkpoint of another {what}.*; delete that folder"):
            train_in(ALONE, other, tmp_path, None, 1)


def loss_and_gradients_in_bf16(ranks: Ranks, params: TrainParams) -> tuple[float, dict[str, np.ndarray], set]:
    """Return the loss and gradients of a step as a GPU computes it, and the types of weights and products that it met."""
    placement.training = lambda device: torch.float32
    sharding.POLICIES["cpu"] = sharding.POLICIES["cuda"]
    model = empty(params, IDS, None, CPU, ranks, True).train()
    torch.manual_seed(0)
    begin(model, params, IDS, CODEBOOK, None)
    model.compute = torch.bfloat16
    met = set()
    for name, module in model.named_modules():
        if isinstance(module, Linear | RMSNorm):
            name = name.rpartition(".")[2]
            module.register_forward_hook(partial(_note, met, name))
    steps = Steps(model, AnswerLoss.of(IDS, params), params, ranks, CPU, 60, 8)
    loss = steps.gradients(steps.share(windows(0, params), list(range(params.batch))), 0)
    found = {}
    for name, parameter in model.named_parameters():
        assert isinstance(parameter.grad, DTensor)
        assert parameter.grad.dtype == torch.float32
        found[name] = parameter.grad.full_tensor().numpy()
    return loss.total.item(), found, met


def _note(met: set, name: str, module: Linear | RMSNorm, _: Any, out: Any) -> None:
    met.add((name, module.weight.dtype, out[0].dtype))


@pytest.mark.slow
def test_as_on_a_gpu_weights_are_gathered_in_bf16_once_and_gradients_are_added_up_in_fp32():
    expected, gradients_of_one = first_step(JOINT)
    loss, found, met = together(2, loss_and_gradients_in_bf16, JOINT)[0]
    assert {weight for _, weight, _ in met} == {torch.bfloat16}
    assert {out for name, _, out in met if name != "lm_head"} == {torch.bfloat16}
    assert loss == pytest.approx(expected, rel=2e-3)
    for name, value in gradients_of_one.items():
        assert np.linalg.norm(found[name] - value) < 0.05 * np.linalg.norm(value) + 1e-4, name


def first_step(params: TrainParams) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss and gradients of the same step in fp32, in one process."""
    model = empty(params, IDS, None, CPU, ALONE, False).train()
    torch.manual_seed(0)
    begin(model, params, IDS, CODEBOOK, None)
    steps = Steps(model, AnswerLoss.of(IDS, params), params, ALONE, CPU, None, 1)
    loss = steps.gradients(steps.share(windows(0, params), list(range(params.batch))), 0)
    return loss.total.item(), {
        name: value.grad.numpy() for name, value in model.named_parameters() if value.grad is not None
    }


def told_apart(ranks: Ranks, name: str) -> str:
    """Return what a process says of others that were started with another ``name``."""
    things = {"params": "a", "code": "b", "data": {"shards": "c"}} | {name: ranks.rank // 2}
    with pytest.raises(ValueError, match="expected the same everywhere") as refused:
        ranks.check_same(things)
    return str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["params", "code", "data"])
def test_processes_that_disagree_say_alike_who_differs_in_what(name):
    (said,) = set(together(4, told_apart, name))
    assert said.startswith("process 2 of 4 on ")
    assert f" has other {name} than process 0 on " in said


def test_a_disk_that_fills_while_a_checkpoint_is_written_keeps_the_one_before(tmp_path):
    train_in(ALONE, replace(BRIEF, steps=2), tmp_path, None, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003", "step-00000004"]
    shutil.rmtree(tmp_path / "step-00000004")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            train_in(ALONE, replace(BRIEF, steps=2), tmp_path, None, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno in FULL_DISK
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
