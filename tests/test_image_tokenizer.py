import hashlib
import json
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from worldvla.tokenizers import reconstruction
from worldvla.tokenizers.image import ImageTokenizer, to_frames, to_images
from worldvla.tokenizers.vqgan import VQGAN, VQGANConfig

SIDE = 48


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (70, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tokenizer(frames):
    torch.manual_seed(0)
    model = VQGAN(VQGANConfig(64, 8, 16, (1, 2, 2), 1, 4, patch=4)).eval()
    with torch.inference_mode():  # entries among the latents: many codes are in use
        vectors = model.latents(to_images(frames[:20], "cpu")).permute(0, 2, 3, 1).reshape(-1, 8)
        model.quantize.embedding.weight.copy_(vectors[torch.randperm(len(vectors))[:64]])
    return ImageTokenizer(model, SIDE)


def test_codes_have_the_promised_shape_type_and_range(tokenizer, frames):
    codes = tokenizer.encode(frames)
    assert codes.shape == (70, 9)
    assert codes.dtype == np.uint16
    assert codes.max() < 64
    assert len(np.unique(codes)) > 20
    decoded = tokenizer.decode(codes)
    assert decoded.shape == frames.shape
    assert decoded.dtype == np.uint8


def test_codes_do_not_depend_on_the_batch(tokenizer, frames):
    together = tokenizer.encode(frames)
    for size in (1, 7, 32):
        parts = [tokenizer.encode(frames[start : start + size]) for start in range(0, len(frames), size)]
        assert np.array_equal(np.concatenate(parts), together)


def test_saved_and_loaded_it_is_the_same(tokenizer, frames, tmp_path):
    tokenizer.save(tmp_path)
    loaded = ImageTokenizer.load(tmp_path)
    assert (loaded.pixels, loaded.num_codes, loaded.codes_per_image) == (SIDE, 64, 9)
    assert np.array_equal(loaded.codebook, tokenizer.codebook)
    assert loaded.codebook.shape == (64, 8)
    assert loaded.codebook.dtype == np.float32
    codes = tokenizer.encode(frames)
    assert np.array_equal(loaded.encode(frames), codes)
    assert np.array_equal(loaded.decode(codes), tokenizer.decode(codes))


def test_its_digest_is_that_of_its_weights_and_survives_saving(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    weights = (tmp_path / "vqgan" / "model.safetensors").read_bytes()
    assert tokenizer.digest == ImageTokenizer.load(tmp_path).digest == hashlib.sha256(weights).hexdigest()


def test_a_published_one_has_the_digest_of_the_file_that_it_was_converted_from(tokenizer, tmp_path):
    ImageTokenizer(tokenizer._model, SIDE, published="f" * 64, tf32=True).save(tmp_path)
    loaded = ImageTokenizer.load(tmp_path)
    assert (loaded.digest, loaded.tf32) == ("f" * 64, True)


@pytest.mark.parametrize("tf32", [False, True])
def test_cudnn_stays_switched_on_and_rounds_only_if_told_to(tf32, tokenizer, frames, monkeypatch):
    seen = []
    codes = VQGAN.codes

    def watched(model, images):
        seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
        return codes(model, images)

    monkeypatch.setattr(VQGAN, "codes", watched)
    ImageTokenizer(tokenizer._model, SIDE, tf32=tf32).encode(frames[:1])
    assert seen == [(True, tf32, True)]


def test_no_frames_have_no_codes(tokenizer):
    codes = tokenizer.encode(np.empty((0, SIDE, SIDE, 3), np.uint8))
    assert codes.shape == (0, 9)
    assert tokenizer.decode(codes).shape == (0, SIDE, SIDE, 3)


def test_pixels_survive_the_way_to_the_model_and_back(frames):
    images = to_images(frames, "cpu")
    assert images.shape == (70, 3, SIDE, SIDE)
    assert images.min() == -1
    assert images.max() == 1
    # Truncated as upstream: a value that a rounding error moved below a whole number loses one grey level.
    difference = frames.astype(int) - to_frames(images)
    assert difference.min() >= 0
    assert difference.max() <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 32, 32, 3), np.uint8), r"got frames uint8 \[2, 32, 32, 3\], expected uint8 \[N, 48, 48, 3\]"),
        (np.zeros((48, 48, 3), np.uint8), r"got frames uint8 \[48, 48, 3\], expected"),
        (np.zeros((1, 48, 48, 3), np.float32), r"got frames float32 \[1, 48, 48, 3\], expected uint8"),
    ],
)
def test_frames_of_another_size_or_type_are_refused(tokenizer, wrong, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.encode(wrong)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((1, 4), np.uint16), r"got codes uint16 \[1, 4\], expected integers \[N, 9\]"),
        (np.zeros((1, 9)), r"got codes float64 \[1, 9\], expected integers"),
        (np.full((1, 9), 64), r"code 64 is outside \[0, 64\)"),
        (np.full((1, 9), -1), r"code -1 is outside \[0, 64\)"),
    ],
)
def test_codes_of_another_shape_type_or_range_are_refused(tokenizer, codes, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.decode(codes)


def test_an_incomplete_folder_is_named(tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"config\.json: no such file; expected an image tokenizer\. Run: dvc repro"):
        ImageTokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    (tmp_path / "vqgan" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged or no file of weights"):
        ImageTokenizer.load(tmp_path)
    (tmp_path / "vqgan" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: no such file"):
        ImageTokenizer.load(tmp_path)
    (tmp_path / "vqgan" / "config.json").write_text(json.dumps({"num_codes": 4}))
    with pytest.raises(ValueError, match=r"config\.json: not the sizes of an image tokenizer"):
        ImageTokenizer.load(tmp_path)


def test_a_size_that_the_codes_do_not_tile_is_refused(tokenizer):
    with pytest.raises(ValueError, match="50 pixels are not a multiple of 16"):
        ImageTokenizer(VQGAN(VQGANConfig(4, 4, 8, (1, 2, 2), 1, 4, patch=4)), 50)


def test_the_quality_of_a_perfect_tokenizer_is_infinite_and_errors_count_where_they_are():
    still = np.full((1, SIDE, SIDE, 3), 100, np.uint8)
    frames = np.repeat(still, 8, axis=0)
    frames[np.arange(8), np.arange(8)] = 250  # one row moves down

    class Tokenizer:
        num_codes = 8

        def __init__(self, decoded):
            self.decoded = decoded

        def encode(self, frames):
            return np.arange(8)[:, None]

        def decode(self, codes):
            return self.decoded

    median = reconstruction.median_frame(frames)
    assert np.array_equal(median, still[0])
    perfect = reconstruction.measure(cast(ImageTokenizer, Tokenizer(frames)), frames, median)
    assert perfect["psnr"] > 100
    assert perfect["num_codes_used"] == 8
    assert perfect["codes_perplexity"] == pytest.approx(8)
    assert perfect["stable_codes"] == 1
    blind = reconstruction.measure(cast(ImageTokenizer, Tokenizer(np.repeat(still, 8, axis=0))), frames, median)
    assert blind["foreground_psnr"] == pytest.approx(20 * np.log10(255 / 150))
    assert blind["psnr"] == pytest.approx(blind["foreground_psnr"] + 10 * np.log10(SIDE))


def test_the_picture_has_originals_above_reconstructions(tokenizer, frames, tmp_path):
    reconstruction.draw(tmp_path / "picture.png", tokenizer, frames[:3])
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (3 * SIDE * 2, 2 * (SIDE * 2 + reconstruction.MARGIN))
