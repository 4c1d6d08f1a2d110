"""Of the page about looking ahead: by what a chunk is chosen, and what each training gains by it."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean

from worldvla.metrics.trainings import contrast
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.measured import interval_of
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.pages.row import Row
from worldvla.reporting.pages.template import render


def paired(folder: Path, inputs: Inputs, rows: Sequence[Row]) -> list[str]:
    """Return how the rows that look ahead choose, and the rates of each training of theirs beside its greedy ones."""
    params = inputs.params
    planned = {row: variant for row in rows if (variant := params.planner(row.variant))}
    gains = []
    for (row, variant), suite in product(planned.items(), in_order(params.suites)):
        ahead, greedy = (inputs.rollouts.run(name, suite) for name in (row.variant, variant))
        if isinstance(ahead, Run) and isinstance(greedy, Run) and (pairs := _pairs(greedy, ahead)):
            gains.append(_Gain(row.key, suite, pairs))
    if not planned:
        return []
    chosen = next(iter(params.planning.values()))  # one section of conf/ says it of all
    return [render("planning", chosen=chosen, gains=gains, significance=SIGNIFICANCE)]


class _Gain:
    """The rates of a row's trainings on a suite in percent, greedy and looking ahead, and what they gain."""

    def __init__(self, row: str, suite: str, pairs: Mapping[int, tuple[float, float]]) -> None:
        self.row, self.suite, self.pairs = row, suite, pairs
        differences = [after - before for before, after in pairs.values()]
        self.mean, self.over = fmean(differences), interval_of(contrast([(1.0, differences)]))


def _pairs(first: Run, second: Run) -> Mapping[int, tuple[float, float]]:
    """Return the rates of the trainings that both have, in percent, on the initial states that both have."""
    shared = set(first.states) & set(second.states)
    before, after = first.rates(shared), second.rates(shared)
    return {number: (before[number], after[number]) for number in before if number in after}
