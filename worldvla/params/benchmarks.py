"""What the benchmarks are, as far as params must know it: their suites and the steps that a rollout may take."""

from typing import Literal

Benchmark = Literal["mini", "libero"]
Suite = Literal["spatial", "object", "goal", "long"]

NUM_INIT_STATES = 50  # fixed initial states per task, in both benchmarks

# Control steps that a rollout may take before it counts as failed.
MAX_STEPS: dict[str, dict[str, int]] = {
    "mini": {
        # Three times as many as a demonstration takes (docs/suites.md).
        "spatial": 90,
        "object": 90,
        "goal": 90,
        "long": 200,
    },
    "libero": {
        "spatial": 220,  # longest training demonstration has 193 steps
        "object": 280,  # longest training demonstration has 254 steps
        "goal": 300,  # longest training demonstration has 270 steps
        "long": 520,  # longest training demonstration has 505 steps
    },
}


def max_steps(benchmark: str, suite: str) -> int:
    """Return the control steps that a rollout of the suite may take.

    Raises:
        ValueError: the benchmark has no such suite.
    """
    if benchmark not in MAX_STEPS:
        raise ValueError(f"benchmark is '{benchmark}'; known: {', '.join(MAX_STEPS)}")
    if suite not in MAX_STEPS[benchmark]:
        raise ValueError(
            f"suite '{suite}' is not in the benchmark '{benchmark}'; it has: {', '.join(MAX_STEPS[benchmark])}"
        )
    return MAX_STEPS[benchmark][suite]


def default_chunk(suite: str) -> int:
    """Return the paper's actions per chunk: 10 for the long suite, 5 elsewhere. Source: paper section 4.1."""
    return 10 if suite == "long" else 5
