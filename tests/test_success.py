import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from worldvla.metrics.success import Difference, combined, newcombe, paired, wilson


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
def test_wilson_interval_agrees_with_scipy(counts):
    k, n = counts
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((interval.low, interval.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "episodes"), [(0, 0), (3, 2), (-1, 2)])
def test_a_rate_without_episodes_is_refused(successes, episodes):
    with pytest.raises(ValueError, match=f"got {successes}/{episodes}"):
        wilson(successes, episodes)


def outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [both, only_first, only_second, neither])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [both, only_first, only_second, neither])
    return first, second


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009):
        # Fagerland, Lydersen, Laake, Statistics in Medicine 33 (2014) 2850, Newcombe's square-and-add interval.
        ((1, 1, 7, 12), -0.507, -0.026),
        # Newcombe 1998, method 10: a positive correlation, which the continuity term makes smaller.
        ((20, 12, 2, 16), 0.0562, 0.3292),
    ],
)
def test_paired_interval_has_the_published_values(table, low, high):
    result = paired(*outcomes(*table))
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-4)
    assert result == pytest.approx(newcombe(*table))


def test_runs_that_agree_everywhere_do_not_differ():
    result = paired(*outcomes(20, 0, 0, 5))
    assert result.value == 0.0
    assert result.low < 0 < result.high


@given(*[st.integers(0, 30)] * 4)
def test_exchanging_the_runs_turns_the_interval_around(both, only_first, only_second, neither):
    if both + only_first + only_second + neither == 0:
        return
    first, second = outcomes(both, only_first, only_second, neither)
    one, other = paired(first, second), paired(second, first)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.low - 1e-9 <= one.value <= one.high + 1e-9


def test_a_paired_test_needs_the_same_episodes():
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired(np.ones(2), np.ones(3))


def test_a_state_counts_once_however_many_trainings_tried_it():
    first, second = outcomes(30, 10, 2, 8)
    one = paired(first, second)
    assert paired(np.mean([first, first], axis=0), np.mean([second, second, second], axis=0)) == pytest.approx(one)
    # Two trainings that solve other halves: the shares count as halves, of as many states.
    shares = paired(np.full(50, 0.5), second)
    assert shares.value == pytest.approx(0.5 - 32 / 50)
    assert shares.high - shares.low < 0.5


def test_differences_are_combined_by_their_weights():
    part = Difference(0.2, 0.1, 0.4)
    assert combined([(1, part)]) == pytest.approx(part)
    assert combined([(-1, part)]) == pytest.approx((-0.2, -0.4, -0.1))
    assert combined([(0.5, part), (0.5, part)]) == pytest.approx((0.2, 0.2 - 0.1 / 2**0.5, 0.2 + 0.2 / 2**0.5))
