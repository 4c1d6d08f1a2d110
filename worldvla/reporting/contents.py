"""The pages of the report: those about success rates as data, and which stages each page is made of."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

# Every page that is a table of success rates: its rows, comparisons and sentences. The file explains itself.
RATES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("rates.yaml").read_text(encoding="utf-8"))

# Of dvc.yaml: a variant is in one of them, as params.yaml says.
ROLLOUTS = ("rollout", "rollout_once", "rollout_other_pixels")
RELEASED = "rollout_released@"
PLANNED = "rollout_planned@"


def variants(page: str) -> list[str]:
    """Return the variants of a page's rows."""
    return list(dict.fromkeys(name for row in RATES[page]["rows"] for name in row.get("images", [row["variant"]])))


def _stages(page: str) -> list[str]:
    """Return how the names of a page's stages begin; a suite follows."""
    timed = ["speed@"] * ("speeds" in RATES[page].get("forms", []))
    return [*(f"{stage}@{variant}-" for variant in variants(page) for stage in ROLLOUTS), *timed]


def _figure4() -> Iterable[str]:
    return [f"{stage}@{row['variant']}-" for row in RATES["table3"]["rows"][3:5] for stage in ROLLOUTS]


# Page -> how the names of its stages begin. A page that is not here needs every stage.
STAGES: dict[str, list[str]] = {
    **{page: _stages(page) for page in RATES},
    "table1": [],
    "table2": [*_stages("table2"), RELEASED],
    "planning": [*_stages("planning"), *(f"{PLANNED}{name}-" for name in variants("planning"))],
    "released": [RELEASED],  # what table 2 has of the paper's own weights: nothing is recorded, filtered or trained
    "table4": ["video_metrics@"],
    "figure4": [*_figure4()],
    "figure5": ["video_metrics@"],
    "training": ["train@", "train_once@", "train_other_pixels@", "finetune@"],
    "forensics": [],
}
