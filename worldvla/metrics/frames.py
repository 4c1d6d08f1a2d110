"""PSNR and SSIM of predicted frames, one number per frame.

The caller averages: frames to a clip, clips to a result. Averaging errors over frames before the logarithm would give
another PSNR, in which the worst frames count most.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

# PSNR of identical frames, in dB: what piqa, the paper's library, gives them through its epsilon of 1e-8. A limit
# instead of an epsilon leaves every smaller value exact.
LIMIT_DB = 80.0
# The Gaussian window of SSIM, and the two constants that keep its fractions finite.
SIGMA = 1.5
RADIUS = 5
C1, C2 = 0.01**2, 0.03**2


def psnr(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each frame in dB, at most 80, from two clips [T, height, width, 3].

    The mean squared error is over all pixels and channels of one frame in [0, 1], where the peak is 1.

    Raises:
        ValueError: the clips are no frames of bytes, or not of the same shape.
    """
    check_frames(predicted, truth)
    # 32 bits: the difference of bytes would wrap around, and so would its square in 16.
    errors = [np.square(first.astype(np.int32) - second).mean() for first, second in zip(predicted, truth, strict=True)]
    return -10 * np.log10(np.maximum(np.array(errors) / 255**2, 10 ** (-LIMIT_DB / 10)))


def ssim(predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the structural similarity of each frame, in [-1, 1], from two clips [T, height, width, 3].

    The mean over the three channels and over every position of an 11x11 Gaussian window (sigma 1.5) that lies inside
    the frame; covariances are those of a population.

    Source: Wang et al., IEEE Transactions on Image Processing 13 (2004) 600-612, with their constants. They score
    luminance; this scores RGB, as the paper's library piqa does.

    Raises:
        ValueError: the clips are no frames of bytes, not of the same shape, or smaller than the window.
    """
    check_frames(predicted, truth, smallest_px=2 * RADIUS + 1)
    return np.array([_ssim(first / 255, second / 255) for first, second in zip(predicted, truth, strict=True)])


def _ssim(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the structural similarity of two frames [height, width, 3] in [0, 1]."""
    # Only the sum of the two variances matters: four blurred images suffice, not five.
    first, second = _blur(predicted), _blur(truth)
    squares, product = first * first + second * second, first * second
    variances = _blur(predicted * predicted + truth * truth) - squares
    covariance = _blur(predicted * truth) - product
    return float(np.mean((2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))))


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gaussian mean around each pixel whose window lies inside the image."""
    return gaussian_filter(image, SIGMA, radius=RADIUS, axes=(0, 1))[RADIUS:-RADIUS, RADIUS:-RADIUS]


def check_frames(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], smallest_px: int = 1) -> None:
    """Check that both clips are bytes [T, height, width, 3] of the same shape, T and both sides large enough.

    Raises:
        ValueError: they are not.
    """
    if not predicted.dtype == truth.dtype == np.uint8:
        raise ValueError(
            f"predicted and true frames have dtypes {predicted.dtype} and {truth.dtype};"
            " expected uint8 in [0, 255]: round and clip them first"
        )
    if predicted.shape != truth.shape or predicted.ndim != 4 or predicted.shape[3] != 3 or len(predicted) == 0:
        raise ValueError(
            f"predicted and true frames have shapes {predicted.shape} and {truth.shape};"
            " expected the same [T, height, width, 3], T at least 1"
        )
    height, width = predicted.shape[1:3]
    if min(height, width) < smallest_px:
        raise ValueError(f"frames have {height}x{width} px; expected at least {smallest_px}x{smallest_px}")
