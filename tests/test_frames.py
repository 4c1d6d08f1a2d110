import numpy as np
import piqa
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from worldvla.metrics.frames import psnr, ssim

SIZES = [(64, 64), (96, 96), (48, 80), (11, 11)]  # the last has one window


def random_clips(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unrelated noise: every frame scores low."""
    generator = np.random.default_rng(0)
    predicted, truth = generator.integers(0, 256, (2, 3, height, width, 3), dtype=np.uint8)
    return predicted, truth


def structured_clips(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a square that moves over flat and shaded ground, and the same with an error that grows by the frame."""
    ground = np.linspace(0, 255, width).astype(np.uint8)[:, None] * np.array([1, 0, 1], np.uint8)
    truth = np.tile(ground, (3, height, 1, 1))
    for number, frame in enumerate(truth):
        frame[4 : 4 + height // 3, 2 + number : 2 + number + width // 3] = (250, 120, 5)
    noise = np.random.default_rng(1).normal(0, 1, truth.shape) * np.array([1, 8, 40])[:, None, None, None]
    return (truth + noise).round().clip(0, 255).astype(np.uint8), truth


def dark_clips(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flat frames, nearly black against black: without variance, where SSIM rests on its two constants."""
    truth = np.zeros((3, height, width, 3), np.uint8)
    return truth + np.arange(1, 4, dtype=np.uint8)[:, None, None, None], truth


def unit_tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255


@pytest.mark.parametrize("clips", [random_clips, structured_clips, dark_clips])
@pytest.mark.parametrize("size", SIZES)
def test_psnr_agrees_with_scikit_image_and_piqa(size, clips):
    predicted, truth = clips(*size)
    scores = psnr(predicted, truth)
    assert scores.dtype == np.float64
    expected = [peak_signal_noise_ratio(*pair, data_range=1) for pair in zip(truth / 255, predicted / 255, strict=True)]
    assert scores == pytest.approx(expected, abs=1e-9)
    upstream = piqa.PSNR(reduction="none", epsilon=0.0)(unit_tensor(predicted), unit_tensor(truth))
    assert scores == pytest.approx(upstream.numpy(), abs=1e-5)


@pytest.mark.parametrize("clips", [random_clips, structured_clips, dark_clips])
@pytest.mark.parametrize("size", SIZES)
def test_ssim_agrees_with_scikit_image_and_piqa(size, clips):
    predicted, truth = clips(*size)
    scores = ssim(predicted, truth)
    assert scores.dtype == np.float64
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [
        structural_similarity(*pair, channel_axis=-1, **options)
        for pair in zip(predicted / 255, truth / 255, strict=True)
    ]
    assert scores == pytest.approx(expected, abs=1e-9)
    upstream = piqa.SSIM(reduction="none").double()(unit_tensor(predicted), unit_tensor(truth))
    assert scores == pytest.approx(upstream.numpy(), abs=1e-5)


def test_identical_frames_have_80_db_and_similarity_1():
    frames, _ = random_clips(64, 64)
    assert psnr(frames, frames).tolist() == [80.0] * 3
    assert ssim(frames, frames) == pytest.approx(np.ones(3), abs=1e-12)
    upstream = piqa.PSNR(reduction="none")(unit_tensor(frames), unit_tensor(frames))
    assert upstream.numpy() == pytest.approx(np.full(3, 80.0))


def test_the_limit_leaves_a_nearly_perfect_frame_exact():
    truth = np.zeros((1, 16, 16, 3), np.uint8)
    predicted = truth.copy()
    predicted[0, 3, 4, 1] = 1  # one byte of 768: 76.98 dB, to which an epsilon of 1e-8 adds its half
    assert psnr(predicted, truth) == pytest.approx([10 * np.log10(768 * 255**2)], abs=1e-12)


def test_a_frame_of_many_bytes_with_one_wrong_is_held_at_80_db():
    truth = np.zeros((1, 96, 96, 3), np.uint8)
    predicted = truth.copy()
    predicted[0, 0, 0, 0] = 1
    assert psnr(predicted, truth).tolist() == [80.0]


def test_psnr_is_a_number_per_frame_and_not_of_the_pooled_error():
    predicted, truth = structured_clips(64, 64)
    scores = psnr(predicted, truth)
    alone = [psnr(predicted[i : i + 1], truth[i : i + 1])[0] for i in range(3)]
    assert scores.tolist() == alone
    pooled = peak_signal_noise_ratio(truth / 255, predicted / 255, data_range=1)
    assert scores.mean() > pooled + 3


def test_differences_of_bytes_do_not_wrap_around():
    black = np.zeros((1, 16, 16, 3), np.uint8)
    assert psnr(black, black + 255) == pytest.approx([0.0], abs=1e-12)
    assert psnr(black + 255, black) == pytest.approx([0.0], abs=1e-12)
    assert psnr(black, black + 1) == pytest.approx([20 * np.log10(255)], abs=1e-12)


def test_an_inverted_frame_has_a_negative_similarity():
    predicted, _ = random_clips(32, 32)
    assert (ssim(predicted, 255 - predicted) < -0.9).all()


@pytest.mark.parametrize("score", [psnr, ssim])
def test_the_order_of_the_clips_and_their_memory_do_not_matter(score):
    predicted, truth = structured_clips(48, 80)
    assert score(truth, predicted) == pytest.approx(score(predicted, truth), abs=1e-12)
    flipped = score(predicted[:, ::-1], truth[:, ::-1])
    assert flipped == pytest.approx(score(predicted, truth), abs=1e-12)


@pytest.mark.parametrize("score", [psnr, ssim])
@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (
            np.zeros((2, 16, 16, 3), np.uint8),
            np.zeros((3, 16, 16, 3), np.uint8),
            r"\(2, 16, 16, 3\) and \(3, 16, 16, 3",
        ),
        (
            np.zeros((2, 16, 16), np.uint8),
            np.zeros((2, 16, 16), np.uint8),
            r"expected the same \[T, height, width, 3\]",
        ),
        (np.zeros((2, 3, 16, 16), np.uint8), np.zeros((2, 3, 16, 16), np.uint8), r"shapes \(2, 3, 16, 16\)"),
        (np.zeros((0, 16, 16, 3), np.uint8), np.zeros((0, 16, 16, 3), np.uint8), "T at least 1"),
        (np.zeros((2, 16, 16, 3)), np.zeros((2, 16, 16, 3), np.uint8), "float64 and uint8; expected uint8 .* round"),
    ],
)
def test_clips_that_cannot_be_compared_are_refused(score, predicted, truth, message):
    with pytest.raises(ValueError, match=message):
        score(predicted, truth)


def test_frames_smaller_than_the_window_have_no_similarity():
    frames = np.zeros((2, 16, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="16x10 px; expected at least 11x11"):
        ssim(frames, frames)
    assert psnr(frames, frames).tolist() == [80.0, 80.0]
