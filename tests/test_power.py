import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial

from worldvla.metrics.power import mcnemar_power, smallest_paired_mean, smallest_paired_rate
from worldvla.metrics.success import paired, wilson


def test_power_where_every_pair_disagrees_is_that_of_the_sign_test():
    # Of 20 pairs, 15 must go one way (p = 0.041); a run that wins 80 % of them gets there with a chance of 0.804.
    assert mcnemar_power(20, 0.6, 1.0, 0.05) == pytest.approx(binom.sf(14, 20, 0.8))
    assert mcnemar_power(20, 0.6, 1.0, 0.05) == pytest.approx(0.8042, abs=1e-4)


@pytest.mark.parametrize(("difference", "share"), [(0.0, 0.4), (0.3, 0.4), (0.4, 0.4), (0.5, 0.9)])
def test_power_agrees_with_counting_all_outcomes(difference, share):
    episodes = 18
    model = multinomial(episodes, [(share + difference) / 2, (share - difference) / 2, 1 - share])
    expected = sum(
        model.pmf([first, second, episodes - first - second])
        for first in range(episodes + 1)
        for second in range(min(first, episodes + 1 - first))
        if binomtest(first, first + second).pvalue <= 0.05
    )
    assert mcnemar_power(episodes, difference, share, 0.05) == pytest.approx(expected)


def test_power_agrees_with_simulated_tests():
    random, episodes, difference, share = np.random.default_rng(0), 60, 0.2, 0.3
    found = 0
    for _ in range(2000):
        kinds = random.choice(3, size=episodes, p=[(share + difference) / 2, (share - difference) / 2, 1 - share])
        result = paired(kinds == 0, kinds == 1)
        found += result.p_value <= 0.05 and result.difference > 0
    assert found / 2000 == pytest.approx(mcnemar_power(episodes, difference, share, 0.05), abs=0.03)


@pytest.mark.parametrize(("episodes", "disagree"), [(20, 6), (100, 30), (500, 100), (2000, 300)])
def test_the_smallest_difference_has_the_wanted_power_and_a_smaller_one_has_not(episodes, disagree):
    smallest = smallest_paired_rate(episodes, disagree, 0.05, 0.8)
    assert smallest is not None
    for difference, reached in ((smallest, True), (smallest - 1e-4, False)):
        share = max(disagree / episodes, difference)
        assert (mcnemar_power(episodes, difference, share, 0.05) >= 0.8) is reached


def test_the_smallest_difference_is_near_the_normal_approximation_for_many_episodes():
    # Connor 1987: n = (z_a sqrt(share) + z_b sqrt(share - difference²))² / difference²; here for 2000 pairs, share 0.2.
    smallest = smallest_paired_rate(2000, 400, 0.05, 0.8)
    assert smallest is not None
    n = (1.959964 * 0.2**0.5 + 0.841621 * (0.2 - smallest**2) ** 0.5) ** 2 / smallest**2
    assert n == pytest.approx(2000, rel=0.06)  # the exact test needs some more


def test_more_episodes_find_smaller_differences_and_more_power_asks_for_larger_ones():
    found = [smallest_paired_rate(n, 3 * n // 10, 0.05, 0.8) or 2 for n in (20, 50, 200, 1000)]
    assert found == sorted(found, reverse=True)
    assert (smallest_paired_rate(50, 15, 0.05, 0.9) or 0) > found[1]


def test_where_no_pair_disagrees_the_share_is_the_upper_end_of_its_interval():
    smallest = smallest_paired_rate(500, 0, 0.05, 0.8)
    high = wilson(0, 500)[1]
    assert smallest is not None
    assert mcnemar_power(500, smallest, max(high, smallest), 0.05) == pytest.approx(0.8, abs=1e-3)


def test_fewer_than_six_episodes_cannot_show_any_difference():
    assert smallest_paired_rate(5, 5, 0.05, 0.8) is None
    assert smallest_paired_rate(6, 0, 0.05, 0.8) is not None


def test_the_smallest_mean_follows_the_spread_of_the_clips():
    differences = np.array([0.0, 2.0] * 8)
    expected = (1.959964 + 0.841621) * np.std(differences, ddof=1) / 4
    assert smallest_paired_mean(differences, 0.05, 0.8) == pytest.approx(expected)
    assert smallest_paired_mean(np.ones(3), 0.05, 0.8) == 0.0


def test_the_smallest_mean_is_found_as_often_as_wanted():
    random = np.random.default_rng(0)
    smallest = smallest_paired_mean(random.normal(size=100_000), 0.05, 0.8) * (100_000 / 50) ** 0.5
    means = random.normal(smallest, 1, size=(4000, 50)).mean(axis=1)
    assert (means > 1.959964 / 50**0.5).mean() == pytest.approx(0.8, abs=0.03)


def test_what_has_no_power_is_refused():
    with pytest.raises(ValueError, match="power needs an episode"):
        mcnemar_power(0, 0.1, 0.2, 0.05)
    with pytest.raises(ValueError, match=r"got 10, 0\.3 and 0\.2"):
        mcnemar_power(10, 0.3, 0.2, 0.05)
    with pytest.raises(ValueError, match="a spread needs at least two clips; got 1"):
        smallest_paired_mean(np.ones(1), 0.05, 0.8)
