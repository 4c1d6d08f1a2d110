import numpy as np
import pytest
import scipy.stats

from worldvla.metrics import bootstrap
from worldvla.metrics.bootstrap import mean_interval


def scores(num_clips: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(25, 3, num_clips)


def test_a_seed_gives_one_interval_and_another_seed_another():
    values = scores(34)
    assert mean_interval(values, seed=7) == mean_interval(values, seed=7)
    assert mean_interval(values, seed=7) != mean_interval(values, seed=8)
    assert mean_interval(values, seed=7) == pytest.approx(mean_interval(values, seed=8), abs=0.1)


def test_the_interval_agrees_with_scipy():
    values = scores(34)
    expected = scipy.stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=0)
    limits = (expected.confidence_interval.low, expected.confidence_interval.high)
    assert mean_interval(values, seed=0) == pytest.approx(limits, abs=0.08)


def test_the_interval_of_two_clips_is_that_of_their_three_means():
    # A mean of two draws is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    assert mean_interval(np.array([0.0, 1.0]), seed=0) == (0.0, 1.0)


def test_clips_without_spread_have_an_interval_of_no_width():
    assert mean_interval(np.full(12, 0.5), seed=0) == (0.5, 0.5)


def test_about_95_in_100_intervals_hold_the_true_mean(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)
    intervals = np.array([mean_interval(scores(60, seed), seed) for seed in range(1000)])
    held = ((intervals[:, 0] < 25) & (intervals[:, 1] > 25)).mean()
    assert 0.92 < held < 0.97


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([]), "one clip has no spread; got 0"),
        (np.array([25.0]), "one clip has no spread; got 1: score more clips"),
        (np.array([25.0, np.nan, 24.0]), "clip 1 is nan; expected a finite score"),
        (np.array([25.0, 24.0, np.inf]), "clip 2 is inf"),
        (np.ones((3, 10)), r"one score per clip; got shape \(3, 10\)"),
    ],
)
def test_clips_that_say_nothing_of_the_mean_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values, seed=0)
