"""Of the page about looking ahead: by what a chunk is chosen, and what each training gains by it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from worldvla.metrics.trainings import contrast
from worldvla.params.claims import SIGNIFICANCE
from worldvla.reporting.inference.effects import interval_of, signed, span
from worldvla.reporting.inputs.everything import Inputs
from worldvla.reporting.inputs.runs import Run, in_order
from worldvla.reporting.markdown import table

SCORE = (
    "A query chooses among {candidates} chunks: the greedy one, and draws of bins from the policy's own distribution at "
    "temperature {temperature:g}. The world half of the same model predicts a frame for every action, and the policy answers "
    "once more, greedily, at the imagined frames. Executed is the chunk with the highest mean log-probability per bin, of the "
    "chunk and of that answer together: a beam search over two chunks. It prefers futures in which the policy knows what to do; "
    "nothing tells it what a good one is. What is drawn follows from the query and the seed alone."
)
PAIRED = (
    "Both rows have the same weights, training by training, which Welch's interval above does not use. The interval here is "
    "Student's t of the differences, at {level:g} %; it is for these initial states."
)


def paired(folder: Path, inputs: Inputs, rows: Sequence[Any]) -> list[str]:
    """Return how the rows that look ahead choose, and the rates of each training of theirs beside its greedy ones."""
    params, blocks = inputs.params, []
    for row in rows:
        if (variant := params.planner(row.variant)) is None:
            continue
        chosen = params.planning[variant]
        blocks += [
            "## How a chunk is chosen",
            SCORE.format(candidates=chosen.candidates, temperature=chosen.temperature),
        ]
        lines, sums = [], []
        for suite in in_order(params.suites):
            ahead, greedy = (inputs.rollouts.run(name, suite) for name in (row.variant, variant))
            if isinstance(ahead, Run) and isinstance(greedy, Run) and (pairs := _pairs(greedy, ahead)):
                differences = [after - before for before, after in pairs.values()]
                lines += [
                    [suite, str(number), f"{before:.1f} %", f"{after:.1f} %", signed(after - before, "points")]
                    for number, (before, after) in pairs.items()
                ]
                over = span(interval_of(contrast([(1.0, differences)])))
                sums.append([suite, str(len(pairs)), signed(fmean(differences), "points"), over])
        if lines:
            level = 100 * (1 - SIGNIFICANCE)
            blocks += ["## Training by training", PAIRED.format(level=level)]
            numbers = ["Greedy", "Looking ahead", "Difference"]
            blocks.append(table(["Suite", "Training", *numbers], lines, right=numbers))
            mean = ["Mean difference", "Over trainings"]
            blocks.append(table(["Suite", "Trainings", *mean], sums, right=mean))
    return blocks


def _pairs(first: Run, second: Run) -> Mapping[int, tuple[float, float]]:
    """Return the rates of the trainings that both have, in percent, on the initial states that both have."""
    shared = set(first.states) & set(second.states)
    before, after = first.rates(shared), second.rates(shared)
    return {number: (before[number], after[number]) for number in before if number in after}
