"""Tasks of a suite whose success rate is improbably below that of the others."""

from collections.abc import Sequence

from scipy.stats import fisher_exact

from worldvla.metrics.trainings import holm


def lower_than_others(counts: Sequence[tuple[int, int]]) -> list[float]:
    """Return for each task the p-value of having its rate or a lower one, if it had the rate of all others together.

    Fisher's exact test, one-sided, the task against all others; corrected after Holm for the number of tasks. Of one task
    alone there is nothing to say: 1.

    Args:
        counts: successes and episodes of each task.
    """
    successes, episodes = (sum(column) for column in zip(*counts, strict=True))
    p_values = []
    for won, num in counts:
        table = [[won, num - won], [successes - won, episodes - num - (successes - won)]]
        p_values.append(float(fisher_exact(table, alternative="less")[1]))
    return holm(p_values)
