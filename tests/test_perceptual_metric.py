import hashlib
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lpips
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import alexnet
from torchvision.models.vgg import cfgs, make_layers

from worldvla.metrics import perceptual
from worldvla.metrics.perceptual import BATCH, FILES, Lpips, Net

NETS: tuple[Net, ...] = ("vgg", "alex")


def random_features(net: str) -> nn.Module:
    """Return the convolutions of one of torchvision's networks, of random weights that keep deep features alive."""
    generator = torch.Generator().manual_seed(0)
    features = make_layers(cfgs["D"]) if net == "vgg" else alexnet(weights=None).features
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            assert layer.bias is not None
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
    return features


@pytest.fixture(scope="module")
def backbones(tmp_path_factory) -> dict[str, tuple[nn.Module, Path]]:
    """Return random features of each net, and the file that holds them as torchvision's would."""
    folder, made = tmp_path_factory.mktemp("weights"), {}
    for net in NETS:
        features, path = random_features(net), folder / f"{net}.pth"
        state = {f"features.{name}": value for name, value in features.state_dict().items()}
        # A real file has the classifier too, and torchvision's VGG is of the days before torch wrote zip files.
        state |= {"classifier.0.bias": torch.zeros(4096)}
        torch.save(state, path, _use_new_zipfile_serialization=net != "vgg")
        made[net] = features, path
    return made


@pytest.fixture
def files(backbones, monkeypatch) -> dict[str, Path]:
    """Return the files of the random weights, which this test takes for torchvision's."""
    for net, (_, path) in backbones.items():
        monkeypatch.setitem(FILES, net, f"{net}-{sha256(path)[:8]}.pth")
    return {net: path for net, (_, path) in backbones.items()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def upstream(net: str, features: nn.Module, monkeypatch) -> lpips.LPIPS:
    """Return the package's own metric, built as upstream builds it; only its download of the backbone is replaced."""
    name = {"vgg": "vgg16", "alex": "alexnet"}[net]
    monkeypatch.setattr(lpips.pretrained_networks.tv, name, lambda pretrained: SimpleNamespace(features=features))
    return lpips.LPIPS(net=net, verbose=False)


def clips(num_frames: int = 2, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return smooth random frames, and the same with noise."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 256, (num_frames, side // 8, side // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    noise = generator.normal(0, 30, truth.shape)
    return (truth + noise).round().clip(0, 255).astype(np.uint8), truth


def tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("net", NETS)
def test_the_distance_is_that_of_the_package_between_frames_in_minus_1_to_1(net, backbones, files, monkeypatch):
    predicted, truth = clips()
    scores = Lpips(net, files[net])(predicted, truth)
    package = upstream(net, backbones[net][0], monkeypatch)
    with torch.inference_mode():
        expected = package(tensor(predicted) / 127.5 - 1, tensor(truth) / 127.5 - 1).flatten().numpy()
        wrong_scale = package(tensor(predicted) / 255, tensor(truth) / 255).flatten().numpy()
    assert scores.dtype == np.float64
    assert scores.shape == (2,)
    assert scores == pytest.approx(expected, rel=1e-5)
    assert (np.abs(scores / wrong_scale - 1) > 0.2).all()


@pytest.mark.parametrize("net", NETS)
def test_identical_frames_have_no_distance_and_others_the_same_both_ways(net, files):
    metric = Lpips(net, files[net])
    predicted, truth = clips()
    assert metric(truth, truth).tolist() == [0.0, 0.0]
    forth, back = metric(predicted, truth), metric(truth, predicted)
    assert (forth > 0.01).all()
    assert forth == pytest.approx(back, rel=1e-6)


def test_the_networks_do_not_measure_the_same(files):
    by_vgg, by_alex = (Lpips(net, files[net])(*clips()) for net in NETS)
    assert (np.abs(by_vgg - by_alex) > 1e-3).all()


def test_batches_do_not_change_a_frames_distance(files):
    metric = Lpips("alex", files["alex"])
    predicted, truth = clips(BATCH + 1)
    alone = [metric(predicted[i : i + 1], truth[i : i + 1])[0] for i in range(BATCH + 1)]
    assert metric(predicted, truth) == pytest.approx(alone, rel=1e-5)


def test_flipped_and_locked_frames_are_scored(files):
    metric = Lpips("alex", files["alex"])
    predicted, truth = clips()
    turned, locked = predicted[:, ::-1, ::-1], truth[:, ::-1, ::-1]
    locked.flags.writeable = False
    assert metric(turned, locked) == pytest.approx(metric(turned.copy(), locked.copy()), rel=1e-6)


def test_loading_is_silent_and_draws_no_random_numbers(files, capfd):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Lpips("vgg", files["vgg"])
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_frames_that_the_network_cannot_hold_are_refused(files):
    metric = Lpips("alex", files["alex"])
    assert metric(*(frames[:, :31, :31] for frames in clips())).shape == (2,)
    with pytest.raises(ValueError, match="30x64 px; expected at least 31x31"):
        metric(*(frames[:, :30] for frames in clips()))
    unit: Any = clips()[0] / 255  # of a type that the checker would refuse
    with pytest.raises(ValueError, match="dtypes float64 and uint8"):
        metric(unit, clips()[1])


@pytest.mark.parametrize("net", NETS)
def test_the_sentence_about_absent_weights_names_the_param_and_what_null_does(net, tmp_path):
    param = rf"{FILES[net]}: name it in video_metrics\.lpips_{net}, or null there, which leaves the cell"
    with pytest.raises(ValueError, match=rf"gone\.pth: no such file; .*{param} \"not computed: weights absent\""):
        Lpips(net, tmp_path / "gone.pth")
    with pytest.raises(ValueError, match=rf"no such file; .*{param}"):
        Lpips(net, tmp_path)


def test_weights_of_the_other_network_are_named_whatever_their_file_is_called(files, tmp_path):
    renamed = tmp_path / FILES["vgg"]
    renamed.write_bytes(files["alex"].read_bytes())
    with pytest.raises(ValueError, match=rf"holds the weights of {FILES['alex']}; expected .*lpips_vgg"):
        Lpips("vgg", renamed)


def test_a_file_that_is_not_torchvisions_is_never_opened(files, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(perceptual.torch, "load", lambda *args, **kwargs: opened.append(args))
    whole = files["alex"].read_bytes()
    for name, content in {"truncated": whole[:-100], "empty": b"", "other": b"weights"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        begin = sha256(path)[:8]
        with pytest.raises(ValueError, match=f"{name}: its sha256 begins with {begin}, so it is another file"):
            Lpips("alex", path)
    assert not opened


def test_a_file_is_known_by_the_digits_in_torchvisions_name():
    assert FILES == {"vgg": "vgg16-397923af.pth", "alex": "alexnet-owt-7be5be79.pth"}
    assert [perceptual._prefix(FILES[net]) for net in NETS] == ["397923af", "7be5be79"]
