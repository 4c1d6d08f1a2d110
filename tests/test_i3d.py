import pickle
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldvla.files import file_digest
from worldvla.metrics.i3d import features, weights
from worldvla.metrics.i3d.network import I3D, pad_same


def random_state(seed: int, *, scale: bool) -> dict[str, Tensor]:
    """Values for every tensor, BatchNorm's statistics not trivial; its scale is 1 in DeepMind's I3D."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in weights.tensor_shapes().items():
        value = torch.randn(shape, generator=generator)
        if name.endswith("conv3d.weight"):
            value *= (2 / shape[1:].numel()) ** 0.5
        elif name.endswith("running_var"):
            value = 0.5 + value.abs()
        elif name.endswith("bn.weight"):
            value = 0.5 + value.abs() if scale else torch.ones(shape)
        state[name] = value
    return state


def random_clips(num: int, frames: int, pixels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, frames, pixels, pixels, 3), dtype=np.uint8)


def test_network_has_the_published_tensors_and_parameters():
    network = I3D()
    assert sum(value.numel() for value in network.parameters()) == 12_697_264
    assert len(network.state_dict()) == 344
    assert len(weights.tensor_shapes()) == 287
    assert [module.eps for module in network.modules() if isinstance(module, nn.BatchNorm3d)] == [1e-3] * 57


def test_padding_is_that_of_tensorflow():
    padded = pad_same(torch.ones(1, 1, 10, 7, 224), (7, 3, 7), (2, 2, 2))
    assert padded.shape[2:] == (15, 9, 229)  # total 5, 2 and 5
    assert padded[0, 0, :, 4, 100].tolist() == [0.0] * 2 + [1.0] * 10 + [0.0] * 3  # the larger half behind


@pytest.mark.parametrize(
    "frames", [9, *(pytest.param(frames, marks=pytest.mark.slow) for frames in (10, 11, 16, 17, 50))]
)
def test_logits_are_those_of_cd_fvd(frames):
    reference = pytest.importorskip("cdfvd.third_party.i3d.pytorch_i3d").InceptionI3d().eval()
    state = random_state(0, scale=True)
    reference.load_state_dict(state)
    network = I3D(eps=1e-5).eval()  # as VideoGPT's port, which cd-fvd is
    network.load_state_dict(state)
    clips = torch.rand(1, 3, frames, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        ours, theirs = network(clips), reference(clips)
    assert ours.shape == (1, 400)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_the_epsilon_of_batch_norm_is_seen_in_the_logits():
    clips = torch.rand(1, 3, 9, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    state = random_state(0, scale=False)
    logits = []
    for eps in (1e-3, 1e-5):
        network = I3D(eps).eval()
        network.load_state_dict(state)
        with torch.inference_mode():
            logits.append(network(clips))
    assert not torch.allclose(*logits)


def test_checksum_is_that_of_tensorflow():
    assert google_crc32c.value(b"123456789") == 0xE3069283  # the check value of CRC-32C, RFC 3720
    # 0xE3069283 rotated right by 15 is 0x2507C60D; plus 0xA282EAD8
    assert weights.masked_crc32c(b"123456789") == 0xC78AB0E5


def test_published_checksums_cover_every_variable_of_both_checkpoints():
    tables = weights.published_checksums()
    names = {weights.tensorflow_name(name) for name in weights.tensor_shapes() if not name.endswith("bn.weight")}
    assert len(names) == 230
    assert tables["rgb_scratch"].keys() == tables["rgb_imagenet"].keys() == names
    assert not set(tables["rgb_scratch"].values()) & set(tables["rgb_imagenet"].values())


STATE = random_state(0, scale=False)


class Node(nn.Module):
    def forward(self, clips: Tensor) -> Tensor:
        return clips


def write_torchscript(path: Path, state: dict[str, Tensor]) -> None:
    """A program whose tensors have hassony2's names, as StyleGAN-V's has; it computes nothing."""
    root = Node()
    for name, value in state.items():
        *scope, leaf = weights.hassony2_name(name).split(".")
        node: nn.Module = root
        for part in scope:
            if part not in dict(node.named_children()):
                node.add_module(part, Node())
            node = node.get_submodule(part)
        node.register_buffer(leaf, value)
        if leaf == "running_var":
            node.register_buffer("num_batches_tracked", torch.tensor(0))
    torch.jit.save(torch.jit.script(root), path)


def write_state_dict(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, path)


def write_legacy_state_dict(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def write_counted_state_dict(path: Path, state: dict[str, Tensor]) -> None:
    network = I3D()
    network.load_state_dict(state)
    assert len(network.state_dict()) == 344
    torch.save(network.state_dict(), path)


def write_hassony2_state_dict(path: Path, state: dict[str, Tensor]) -> None:
    torch.save({weights.hassony2_name(name): value for name, value in state.items()}, path)


def write_shard(path: Path, state: dict[str, Tensor]) -> None:
    """TensorFlow's data shard, by its own rules: variables in order of name, kernels as depth, height, width, in, out."""
    variables = {
        weights.tensorflow_name(name): value for name, value in state.items() if not name.endswith("bn.weight")
    }
    with path.open("wb") as stream:
        for name in sorted(variables):
            value = variables[name].numpy()
            stream.write(np.ascontiguousarray(np.einsum("oidhw->dhwio", value) if value.ndim == 5 else value).tobytes())


WRITERS = [
    write_torchscript,
    write_state_dict,
    write_legacy_state_dict,
    write_counted_state_dict,
    write_hassony2_state_dict,
    write_shard,
]


@pytest.fixture
def published(monkeypatch):
    """Let the checkpoint that FVD is defined on be ours."""
    other = weights.checksums(random_state(1, scale=False))
    tables = {"rgb_scratch": weights.checksums(STATE), "rgb_imagenet": other}
    monkeypatch.setattr(weights, "published_checksums", lambda: tables)


@pytest.mark.parametrize("write", WRITERS)
def test_the_weights_are_found_in_every_form(write, tmp_path, monkeypatch, published):
    path = tmp_path / "renamed"
    write(path, STATE)
    monkeypatch.setattr(weights, "TORCHSCRIPT_SHA256", file_digest(path))
    found = weights.load_weights(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


def test_the_verified_extractor_is_named_fvd_and_has_one_digest_for_all_forms(tmp_path, published):
    write_shard(tmp_path / "shard", STATE)
    write_state_dict(tmp_path / "state", STATE)
    extractors = [features.verified(tmp_path / name) for name in ("shard", "state")]
    assert [extractor.label for extractor in extractors] == ["FVD"] * 2
    assert extractors[0].digest == extractors[1].digest
    assert extractors[0].pixels == 224


@pytest.mark.parametrize("write", [write_shard, write_hassony2_state_dict])
def test_the_weights_from_imagenet_are_refused_by_name(write, tmp_path, published):
    write(tmp_path / "weights", random_state(1, scale=False))
    with pytest.raises(ValueError, match=r"weights: holds rgb_imagenet.*; expected StyleGAN-V's i3d_torchscript.pt"):
        weights.load_weights(tmp_path / "weights")


def test_one_other_value_is_refused_and_its_tensor_named(tmp_path, published):
    state = {name: value.clone() for name, value in STATE.items()}
    state["Mixed_5b.b2b.conv3d.weight"][3, 2, 1, 0, 2] += 1e-6
    write_state_dict(tmp_path / "i3d.pt", state)
    with pytest.raises(ValueError, match=r"Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w' is not .* \(1 of 230 differ\)"):
        weights.load_weights(tmp_path / "i3d.pt")


def test_random_weights_are_never_named_fvd(tmp_path):
    write_state_dict(tmp_path / "i3d.pt", STATE)
    with pytest.raises(ValueError, match=r"Conv3d_1a_7x7/batch_norm/beta' is not .* \(230 of 230 differ\)"):
        features.verified(tmp_path / "i3d.pt")


def test_a_scale_other_than_one_is_refused(tmp_path, published):
    write_state_dict(tmp_path / "i3d.pt", STATE | {"Mixed_3b.b0.bn.weight": torch.full((64,), 1.5)})
    with pytest.raises(ValueError, match=r"'Mixed_3b\.b0\.bn\.weight' is not 1 everywhere"):
        weights.load_weights(tmp_path / "i3d.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits.conv3d.bias": None}, r"'logits.conv3d.bias' is missing \(1 such\)"),
        ({"fc.weight": torch.zeros(1)}, r"'fc.weight' is unknown \(1 such\)"),
        ({"logits.conv3d.bias": torch.zeros(10)}, r"'logits.conv3d.bias' is torch.float32 \[10\], not .* \[400\]"),
        ({"logits.conv3d.bias": torch.zeros(400).half()}, r"is torch.float16 \[400\], not torch.float32 \[400\]"),
        ({"epoch": 3}, "holds no state dict"),
    ],
)
def test_tensors_of_another_network_are_refused(change, message, tmp_path):
    state = {name: value for name, value in (STATE | change).items() if value is not None}
    torch.save(state, tmp_path / "i3d.pt")
    with pytest.raises(ValueError, match=message):
        weights.load_weights(tmp_path / "i3d.pt")


@pytest.mark.parametrize("write", [write_state_dict, write_legacy_state_dict, write_torchscript, write_shard])
def test_a_file_that_was_cut_short_is_refused(write, tmp_path):
    path = tmp_path / "i3d.pt"
    write(path, STATE)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"i3d.pt: [\d,]+ bytes, cut short, damaged or no file of weights"):
        weights.load_weights(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04", b"\x80\x02}", b"a\n.", bytes(range(256))])
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "i3d.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"i3d.pt: \d+ bytes, cut short, damaged or no file of weights"):
        weights.load_weights(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"i3d.pt: no such file; expected StyleGAN-V's"):
        weights.load_weights(tmp_path / "i3d.pt")


def test_a_program_that_is_not_the_published_one_is_not_run(tmp_path, monkeypatch, published):
    write_torchscript(tmp_path / "i3d.pt", STATE)
    monkeypatch.setattr(torch.jit, "load", lambda *args, **kwargs: pytest.fail("the program was run"))
    with pytest.raises(ValueError, match=r"a torchscript program with sha256 [0-9a-f]{12}, which is not run"):
        weights.load_weights(tmp_path / "i3d.pt")


class Command:
    def __reduce__(self):
        return pytest.fail, ("the pickle was run",)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    (tmp_path / "i3d.pt").write_bytes(pickle.dumps(Command()))
    with pytest.raises(ValueError, match="no file of weights"):
        weights.load_weights(tmp_path / "i3d.pt")


@pytest.fixture(scope="module")
def substitute() -> features.Extractor:
    return features.random(seed=0, pixels=32, calibration=random_clips(4, 10, 32))


def test_the_substitute_is_the_same_for_the_same_seed_and_clips(substitute):
    assert substitute.label == "FD[i3d-random seed0 32px]"
    before = torch.random.get_rng_state()
    assert features.random(0, 32, random_clips(4, 10, 32)).digest == substitute.digest
    assert torch.equal(torch.random.get_rng_state(), before)
    assert features.random(1, 32, random_clips(4, 10, 32)).digest != substitute.digest
    assert features.random(0, 32, random_clips(5, 10, 32)).digest != substitute.digest


def test_calibration_centres_every_unit_on_its_clips(substitute):
    seen = []
    unit = substitute.network.get_submodule("Mixed_5c.b0.bn")
    # A copy, as the ReLU works in place.
    hook = unit.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
    substitute.features(random_clips(4, 10, 32))
    hook.remove()
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    assert values.mean(1).abs().max() < 1e-3
    assert values.var(1, correction=0).median().item() == pytest.approx(1, abs=0.01)


def test_features_of_a_clip_do_not_depend_on_the_others(substitute):
    clips = random_clips(3, 10, 48)
    rows = substitute.features(clips)
    assert rows.shape == (3, 400)
    assert rows.dtype == np.float64
    assert np.array_equal(substitute.features(clips[1:2]), rows[1:2])
    assert np.array_equal(substitute.features(clips[::-1]), rows[::-1])
    assert substitute.features(clips[:0]).shape == (0, 400)


def test_cudnn_stays_switched_on(substitute):
    seen = []
    hook = substitute.network.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.enabled))
    substitute.features(random_clips(1, 10, 32))
    hook.remove()
    assert seen == [True]


def test_input_is_resized_and_scaled_once():
    clip = random_clips(1, 9, 32)[0]
    same = features.to_input(clip, 32)
    assert same.shape == (1, 3, 9, 32, 32)
    expected = torch.from_numpy(clip).permute(3, 0, 1, 2)[None] / 255 * 2 - 1
    torch.testing.assert_close(same, expected, rtol=0, atol=1e-6)
    half = features.to_input(clip, 16)  # on half-pixel centres, the mean of 2 x 2 pixels
    torch.testing.assert_close(half, nn.functional.avg_pool3d(expected, (1, 2, 2)), rtol=0, atol=1e-6)


def test_clips_that_are_too_short_or_no_clips_are_refused(substitute):
    with pytest.raises(ValueError, match="got clips of 8 frames, expected 9 or more"):
        substitute.features(random_clips(2, 8, 32))
    with pytest.raises(ValueError, match=r"got clips float64 \[1, 9, 32, 32, 3\], expected uint8 \[N, T, H, W, 3\]"):
        substitute.features(np.zeros((1, 9, 32, 32, 3)))


def test_a_feature_that_is_not_finite_is_refused_with_its_clip():
    extractor = features.random(seed=0, pixels=32, calibration=random_clips(2, 9, 32))
    extractor.network.get_parameter("logits.conv3d.bias").data[5] = torch.nan
    with pytest.raises(ValueError, match="clip 0 of 2 has a feature that is not finite"):
        extractor.features(random_clips(2, 9, 32))
