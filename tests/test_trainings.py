"""What trainings say: Welch's t and its power, against scipy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from worldvla.metrics.trainings import contrast, holm, power, smallest_effect, trainings_needed

RATES = st.lists(st.floats(0, 100), min_size=2, max_size=6).filter(lambda rates: np.ptp(rates) > 0.1)


@given(RATES, RATES)
def test_two_arms_are_welchs_t_test(first, second):
    found = contrast([(1, first), (-1, second)])
    assert found is not None
    expected = ttest_ind(first, second, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_suites_are_strata_with_their_share():
    # Two suites of one difference each, far apart in level: the level must not count as spread.
    arms = [(0.5, [10.0, 12.0]), (-0.5, [0.0, 2.0]), (0.5, [90.0, 92.0]), (-0.5, [80.0, 82.0])]
    found = contrast(arms)
    assert found is not None
    assert (found.value, found.degrees) == pytest.approx((10, 4))
    assert found.high - found.value == pytest.approx(2.776445 * np.sqrt(4 * 0.25 * 2 / 2))


def test_one_training_or_no_spread_has_no_interval():
    assert contrast([(1, [50.0]), (-1, [40.0, 41.0])]) is None
    assert contrast([(1, [50.0, 50.0]), (-1, [40.0, 40.0])]) is None


@pytest.mark.parametrize(("spread", "needed"), [(5, (3, 5, 9, 33)), (8, (4, 8, 15, 57)), (10, (5, 10, 21, 80))])
def test_the_trainings_that_a_difference_needs(spread, needed):
    # Of 100 episodes at a rate of half, chance adds five points to the spread of the trainings themselves.
    found = [trainings_needed(difference, np.hypot(spread, 5), 0.8) for difference in (25, 15, 10, 5)]
    assert tuple(found) == needed


def test_power_is_what_simulated_tests_find():
    random = np.random.default_rng(0)
    first, second = random.normal(10, 5, (4000, 4)), random.normal(0, 5, (4000, 4))
    found = (ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(power(10, 5, 4), abs=0.03)
    assert power(0, 5, 4) == pytest.approx(0.05)
    # Two arms of two: t with two degrees of freedom, whose critical value is 4.303.
    critical = 4.302653 * np.sqrt(random.chisquare(2, 400_000) / 2)
    drawn = random.normal(6, 1, 400_000)  # a difference of six standard errors
    assert power(6, 1, 2) == pytest.approx((abs(drawn) > critical).mean(), abs=0.005)
    assert power(1000, 1, 3) == 1


@pytest.mark.parametrize("trainings", [2, 3, 10, 200])
def test_the_smallest_effect_has_the_wanted_power(trainings):
    assert power(smallest_effect(7.0, trainings, 0.8), 7.0, trainings) == pytest.approx(0.8)


def test_more_than_a_thousand_trainings_are_not_looked_for():
    assert trainings_needed(0.0, 5.0, 0.8) is None
    assert trainings_needed(0.1, 5.0, 0.8) is None
    assert trainings_needed(-10.0, 5.0, 0.8) == trainings_needed(10.0, 5.0, 0.8)


def test_holm_multiplies_the_smallest_p_value_by_their_number():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_every_suite_adds_its_degrees_of_freedom():
    four = [
        (weight, numbers) for weight in (0.25, -0.25) for numbers in ([60, 65, 70], [10, 12, 17], [1, 2, 9], [5, 5, 8])
    ]
    found = contrast(four)
    assert found is not None
    assert found.arms == 8
    # As sure as the interval of four suites is: that of two arms of three trainings would need more.
    drawn = np.random.default_rng(0).normal(0, found.spread / 2, (20_000, 8, 3))
    mean, error = drawn.mean(axis=2), drawn.var(axis=2, ddof=1) / 3
    signs = np.array([1] * 4 + [-1] * 4)
    effect = smallest_effect(found.spread, 3, 0.8, arms=8)
    z = np.abs(effect + mean @ signs) / np.sqrt(error.sum(axis=1))
    assert (z > t.ppf(0.975, 16)).mean() == pytest.approx(0.8, abs=0.02)
    assert effect < smallest_effect(found.spread, 3, 0.8)
    needed = trainings_needed(1.001 * effect, found.spread, 0.8, arms=8)
    assert needed == 3
