"""What a model needs, by arithmetic, is what torch allocates; what does not fit is refused before anything is read."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_models import SIZES, small

from worldvla.model import cross_entropy, placement, weights
from worldvla.model.config import ChameleonConfig
from worldvla.model.parts import Cache
from worldvla.model.policy import ChameleonPolicy
from worldvla.model.settings import ModelSettings

CPU = torch.device("cpu")
SEVEN_B = ChameleonConfig(65_536, 4096, 32, 32, 11_008)


def allocated(tensors) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def test_weights_and_training_take_what_torch_allocates():
    model = small(50)
    assert placement.num_weights(model.config) * 4 == allocated(model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.stack([parameter.sum() for parameter in model.parameters()]).sum().backward()
    optimizer.step()
    moments = [value for state in optimizer.state.values() for value in state.values() if value.dim()]
    gradients = [parameter.grad for parameter in model.parameters()]
    total = allocated([*model.parameters(), *gradients, *moments])
    assert placement.num_weights(model.config) * placement.TRAINING[torch.float32] == total


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_takes_what_torch_allocates(dtype):
    config = ChameleonConfig(50, **SIZES)
    cache = Cache(config, 3, 70, dtype, CPU)
    assert placement.cache_bytes(config, 3, 70, dtype) == allocated([cache._entries])


def test_the_published_model_is_7_billion_weights_and_a_prompt_of_512_px_a_gigabyte():
    assert round(placement.num_weights(SEVEN_B) / 1e9, 3) == 7.013
    assert round(placement.cache_bytes(SEVEN_B, 1, 2188, torch.bfloat16) / 1e9, 2) == 1.15
    cuda = torch.device("cuda")
    assert placement.logits_bytes(SEVEN_B, 1061, cuda) == 8 * 2**26  # at once they would take 0.83 GB
    assert placement.logits_bytes(SEVEN_B, 8, cuda) == 8 * 8 * 65_536


def test_logits_take_what_torch_allocates(monkeypatch):
    config, answered = ChameleonConfig(4096, **SIZES), 600
    monkeypatch.setitem(cross_entropy.BLOCK, "cpu", 200 * 4096)
    hidden = torch.randn(answered, 8, dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(4096, 8, requires_grad=True)
    targets, weights = torch.randint(0, 4096, (answered,)), torch.rand(answered)
    with torch.profiler.profile(profile_memory=True) as profile:
        cross_entropy.cross_entropy(hidden, head, targets, weights, 1e-5)
    profiler: Any = profile.profiler
    events = profiler.kineto_results
    held = np.cumsum([event.nbytes() for event in events.events() if event.name() == "[memory]"])
    assert placement.logits_bytes(config, answered, CPU) == 8 * 200 * 4096
    # Beside the logits there are the head in bf16 and its gradient in fp32, here of a width of eight.
    assert held.max() == pytest.approx(8 * 200 * 4096, rel=0.06)


def test_a_model_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(placement, "free_memory", lambda: 15 * 10**9)
    placement.check_room(SEVEN_B, 2, 0, CPU, "7 B alone")
    message = r"data/models/x: it needs 15.2 GB of cpu memory, 2 bytes of each weight and 1.1 GB beside them; 15.0 GB are free"
    with pytest.raises(ValueError, match=message):
        placement.check_room(SEVEN_B, 2, placement.cache_bytes(SEVEN_B, 1, 2188, torch.bfloat16), CPU, "data/models/x")


def test_a_gpu_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    with pytest.raises(ValueError, match=r"Tesla V100: this GPU has no bf16; expected one that has"):
        placement.device()


def test_reading_draws_no_weights_first(tmp_path):
    """Every weight is drawn without memory, on the device called meta, and comes from the file."""
    weights.save(small(2000, hidden_size=64), tmp_path)
    code = (
        "import pathlib, sys, torch\n"
        "from worldvla.model import weights\n"
        "drawn = []\n"
        "real = torch.nn.init.kaiming_uniform_\n"
        "torch.nn.init.kaiming_uniform_ = lambda tensor, **_: drawn.append(tensor.device.type) or real(tensor, **_)\n"
        "weights.load(pathlib.Path(sys.argv[1]))\n"
        "assert set(drawn) == {'meta'}, drawn\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)


def test_a_container_has_what_it_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "CGROUP", tmp_path)
    monkeypatch.setattr(placement.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**10))
    assert placement.free_memory() == 10**10
    for limit, free in (("max", 10**10), ("5000000000", 3 * 10**9)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("4000000000\n")
        # Two of the four are files that were read, as 14 GB of weights when they are fetched.
        (tmp_path / "memory.stat").write_text("anon 2000000000\nactive_file 500000000\ninactive_file 1500000000\n")
        assert placement.free_memory() == free


def no_reading(*_, **__):
    raise AssertionError("weights are read, or fetched, before it is known whether they fit")


def test_a_model_to_ask_is_refused_before_it_is_read(tmp_path, monkeypatch):
    weights.save(small(65_536), tmp_path)
    monkeypatch.setattr(placement, "free_memory", lambda: 10**6)
    monkeypatch.setattr(weights, "load", no_reading)
    images = SimpleNamespace(num_codes=8192, digest="a", codes_per_image=4)
    monkeypatch.setattr("worldvla.model.trained.ImageTokenizer", SimpleNamespace(load=lambda _: images))
    monkeypatch.setattr("worldvla.model.trained.TextTokenizer", SimpleNamespace(load=lambda _: SimpleNamespace(size=9)))
    ModelSettings("chameleon", ("action",), "release", "action", 5, 2, "a").save(tmp_path)
    with pytest.raises(ValueError, match=r"it needs \d\.\d GB of cpu memory, 4 bytes of each weight and .* are free"):
        ChameleonPolicy.load(tmp_path, tmp_path)
