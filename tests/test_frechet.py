import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from worldvla.metrics.frechet import bootstrap_interval, floor, frechet_distance, upstream_distance


def samples(seed: int, num: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, width)) * np.arange(1, width + 1) ** -0.5


def pairs(seed: int, num: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    real = samples(seed, num, width)
    return real + 0.2 * samples(seed + 1000, num, width), real


def exact(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Samples with exactly this mean and this diagonal covariance, over n - 1."""
    centred = np.random.default_rng(0).normal(size=(50, len(mean)))
    orthonormal, _ = np.linalg.qr(centred - centred.mean(0))
    return mean + orthonormal * np.sqrt(49) * deviation


def by_eigenvalues(a: np.ndarray, b: np.ndarray, *, ddof: int, ridge: float) -> float:
    """The distance with d x d matrices: tr sqrt(sqrt(Sa) Sb sqrt(Sa)) from symmetric eigenproblems."""
    cov_a, cov_b = (np.cov(x, rowvar=False, ddof=ddof) + ridge * np.eye(x.shape[1]) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace)


def test_gaussians_with_diagonal_covariances_have_the_closed_form():
    mean_a, mean_b = np.array([1.0, -2.0, 0.5]), np.array([0.0, 2.0, 0.5])
    deviation_a, deviation_b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    expected = np.square(mean_a - mean_b).sum() + np.square(deviation_a - deviation_b).sum()
    assert frechet_distance(exact(mean_a, deviation_a), exact(mean_b, deviation_b)) == pytest.approx(
        expected, rel=1e-12
    )


def test_full_rank_covariances_agree_with_the_matrix_root_of_scipy():
    a, b = samples(0, 80, 12), samples(1, 60, 12) + 0.3
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    trace = np.trace(np.real(np.asarray(sqrtm(cov_a @ cov_b))))
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("num_a", "num_b"), [(16, 16), (16, 33)])
def test_fewer_clips_than_features_agree_with_the_eigenvalues(num_a, num_b):
    a, b = samples(0, num_a, 400), samples(1, num_b, 400)
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues(a, b, ddof=1, ridge=0), rel=1e-6)


@pytest.mark.parametrize(("num", "width"), [(40, 6), (5, 8)])
def test_upstream_distance_agrees_with_dense_matrices(num, width):
    a, b = samples(0, num, width), samples(1, num + 3, width) * 1e-2  # small, so that the ridge matters
    assert upstream_distance(a, b) == pytest.approx(by_eigenvalues(a, b, ddof=0, ridge=1e-6), rel=1e-9)


@pytest.mark.parametrize("distance", [frechet_distance, upstream_distance])
@pytest.mark.parametrize("num", [2, 16, 33, 500])
def test_identical_sets_are_at_distance_exactly_zero(distance, num):
    a = 30 * samples(0, num, 400) + 7
    assert distance(a, a.copy()) == 0.0
    assert 0 <= distance(a, a[::-1]) < 1e-7  # in another order, all but rounding
    assert distance(np.ones((num, 3)), np.ones((num + 1, 3))) == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12), st.integers(1, 20))
def test_the_distance_is_symmetric_and_nowhere_negative(seed, num_a, num_b, width):
    a, b = samples(seed, num_a, width), samples(seed + 1, num_b, width)
    for distance in (frechet_distance, upstream_distance):
        assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9, abs=1e-12)
        assert distance(a, b) >= 0


@pytest.mark.parametrize(("num", "width"), [(33, 400), (134, 400), (60, 4)])
def test_the_interval_is_deterministic_and_holds_the_estimate(num, width):
    predictions, truths = pairs(3, num, width)
    low, high = bootstrap_interval(predictions, truths, seed=0, resamples=50)
    assert low < frechet_distance(predictions, truths) < high
    assert (low, high) == bootstrap_interval(predictions, truths, seed=0, resamples=50)
    assert (low, high) != bootstrap_interval(predictions, truths, seed=1, resamples=50)


def test_pairs_are_resampled_together():
    real = samples(0, 40, 10)
    # Drawn apart, two resamples of one set differ; drawn together, they are one.
    assert bootstrap_interval(real, real, seed=0, resamples=20) == (0.0, 0.0)


def test_the_floor_of_an_odd_set_leaves_one_clip_out_of_each_split():
    real = samples(0, 7, 3)
    orders = np.random.default_rng(0)
    expected = [
        frechet_distance(real[order[:3]], real[order[3:6]]) for order in [orders.permutation(7) for _ in range(10)]
    ]
    assert floor(real, seed=0) == pytest.approx(np.mean(expected))


def test_the_floor_of_a_set_is_what_two_samples_of_one_distribution_show():
    real = samples(0, 66, 400)
    value = floor(real, seed=0)
    assert value == floor(real, seed=0)
    assert value > 0
    assert value == pytest.approx(frechet_distance(samples(1, 33, 400), samples(2, 33, 400)), rel=0.2)


def test_a_feature_that_is_not_finite_is_named_by_set_and_row():
    good, bad = samples(0, 10, 4), samples(1, 10, 4)
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7 of the second set has a feature that is not finite"):
        frechet_distance(good, bad)
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="row 7 of the first set"):
        upstream_distance(bad, good)


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"the second set is \[1, 4\], expected .* 2 or more clips"):
        frechet_distance(samples(0, 10, 4), samples(1, 1, 4))
    with pytest.raises(ValueError, match="sets of 4 and 5 features"):
        frechet_distance(samples(0, 10, 4), samples(1, 10, 5))
    with pytest.raises(ValueError, match="10 predictions and 9 truths are no pairs"):
        bootstrap_interval(samples(0, 10, 4), samples(1, 9, 4), seed=0)
    with pytest.raises(ValueError, match="3 clips have no halves"):
        floor(samples(0, 3, 4), seed=0)
