"""Which stages each page of the report is made of: to make one page without the runs of the others."""

from collections.abc import Iterable

from worldvla.reporting import figure4, figure6, figure7, table2, table3, table5, table6
from worldvla.reporting.successes import Row


def _rollouts(rows: Iterable[Row]) -> list[str]:
    return [f"rollout@{row.variant}-" for row in rows]


RELEASED = "rollout_released@"
# Page -> how the names of its stages begin; a suite follows. A page that is not here needs every stage.
STAGES = {
    "table1": [],
    "table2": [*[f"{stage}@{variant}-" for variant, stage in table2.STAGES.items()], RELEASED],
    "released": [RELEASED],  # what table 2 has of the paper's own weights: nothing is recorded, filtered or trained
    "table3": _rollouts(table3.ROWS),
    "table4": ["video_metrics@"],
    "table5": [
        f"{stage}@{variant}-"
        for _, variants in table5.ANSWERS.values()
        for variant in variants.values()
        for stage in ("rollout", "speed")
    ],
    "table6": _rollouts(table6.ROWS),
    "figure4": _rollouts(figure4.ROWS),
    "figure5": ["video_metrics@"],
    "figure6": _rollouts(figure6.ROWS),
    "figure7": _rollouts(figure7.ROWS),
    "training": ["train@", "train_other_pixels@", "finetune@"],
    "forensics": [],
}
