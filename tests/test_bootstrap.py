import numpy as np
import pytest
import scipy.stats

from worldvla.metrics import bootstrap
from worldvla.metrics.bootstrap import mean_interval, paired_difference


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


def test_what_makes_a_clip_hard_for_both_runs_cancels():
    clips = scores(40)
    errors = np.random.default_rng(1).normal(0, 0.2, (2, 40))
    first, second = clips + 0.5 + errors[0], clips + errors[1]
    result = paired_difference(first, second, seed=0)
    assert result.num_clips == 40
    assert result.difference == pytest.approx((first - second).mean())
    assert 0 < result.low < result.difference < result.high
    low, high = mean_interval(first, seed=0)
    assert result.high - result.low < (high - low) / 5
    shuffled = paired_difference(first, np.roll(second, 1), seed=0)
    assert shuffled.low < 0 < shuffled.high


def test_exchanging_the_runs_turns_the_interval_around():
    first, second = scores(34, 0), scores(34, 1)
    one, other = paired_difference(first, second, seed=0), paired_difference(second, first, seed=0)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))


def test_a_run_does_not_differ_from_itself():
    result = paired_difference(scores(34), scores(34), seed=0)
    assert (result.difference, result.low, result.high) == (0.0, 0.0, 0.0)


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
    with pytest.raises(ValueError, match=message):
        paired_difference(values, np.zeros_like(values), seed=0)


def test_a_paired_difference_needs_the_same_clips():
    with pytest.raises(ValueError, match=r"the same clips twice; got scores of shapes \(3,\) and \(1,\)"):
        paired_difference(np.ones(3), np.ones(1), seed=0)
