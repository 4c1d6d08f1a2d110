"""Which stages each page of the report is made of: to make one page without the runs of the others."""

from collections.abc import Iterable

from worldvla.reporting import figure4, figure6, figure7, table2, table3, table5, table6
from worldvla.reporting.successes import Row

# Of dvc.yaml: a variant is in one of them, as params.yaml says.
ROLLOUTS = ("rollout", "rollout_once", "rollout_other_pixels")


def _rollouts(variants: Iterable[str]) -> list[str]:
    return [f"{stage}@{variant}-" for variant in variants for stage in ROLLOUTS]


def _of(rows: Iterable[Row]) -> list[str]:
    return _rollouts(row.variant for row in rows)


RELEASED = "rollout_released@"
# Page -> how the names of its stages begin; a suite follows. A page that is not here needs every stage.
STAGES = {
    "table1": [],
    "table2": [*_rollouts(table2.VARIANTS), RELEASED],
    "released": [RELEASED],  # what table 2 has of the paper's own weights: nothing is recorded, filtered or trained
    "table3": _of(table3.ROWS),
    "table4": ["video_metrics@"],
    "table5": [
        beginning
        for _, variants in table5.ANSWERS.values()
        for variant in variants.values()
        for beginning in (*_rollouts([variant]), f"speed@{variant}-")
    ],
    "table6": _of(table6.ROWS),
    "figure4": _of(figure4.ROWS),
    "figure5": ["video_metrics@"],
    "figure6": _of(figure6.ROWS),
    "figure7": _of(figure7.ROWS),
    "training": ["train@", "train_once@", "train_other_pixels@", "finetune@"],
    "forensics": [],
}
