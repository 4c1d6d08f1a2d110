import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from worldvla.metrics.success import paired, wilson


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        (428, 500, 0.823, 0.884),
        (485, 500, 0.951, 0.982),
        (45, 50, 0.786, 0.957),
        (0, 10, 0.0, 0.2775),  # closed form: z²/(n + z²)
        (10, 10, 0.7225, 1.0),
    ],
)
def test_wilson_interval_has_the_known_values(successes, episodes, low, high):
    assert wilson(successes, episodes) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(1, 600).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_and_mcnemar_agree_with_scipy(counts):
    k, n = counts
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert paired(*outcomes(1, k, n - k, 1)).p_value == pytest.approx(binomtest(k, n, 0.5).pvalue)


@pytest.mark.parametrize(("successes", "episodes"), [(0, 0), (3, 2), (-1, 2)])
def test_a_rate_without_episodes_is_refused(successes, episodes):
    with pytest.raises(ValueError, match=f"got {successes}/{episodes}"):
        wilson(successes, episodes)


def outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


def test_mcnemar_is_the_exact_sign_test_of_the_disagreements():
    result = paired(*outcomes(30, 10, 2, 8))
    assert (result.both, result.only_first, result.only_second, result.neither) == (30, 10, 2, 8)
    assert result.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert result.difference == pytest.approx(8 / 50)


def test_paired_interval_has_the_published_values():
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), 1, 1, 7, 12:
    # Fagerland, Lydersen, Laake, Statistics in Medicine 33 (2014) 2850, Newcombe's square-and-add interval.
    result = paired(*outcomes(1, 1, 7, 12))
    assert (result.low, result.high) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_runs_that_agree_everywhere_do_not_differ():
    result = paired(*outcomes(20, 0, 0, 5))
    assert result.p_value == 1.0
    assert result.difference == 0.0
    assert result.low < 0 < result.high


@given(*[st.integers(0, 30)] * 4)
def test_exchanging_the_runs_turns_the_interval_around(both, only_first, only_second, neither):
    if both + only_first + only_second + neither == 0:
        return
    first, second = outcomes(both, only_first, only_second, neither)
    one, other = paired(first, second), paired(second, first)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.low - 1e-9 <= one.difference <= one.high + 1e-9


def test_a_paired_test_needs_the_same_episodes():
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired(np.ones(2, bool), np.ones(3, bool))
