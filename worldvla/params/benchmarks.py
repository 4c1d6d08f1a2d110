"""What the benchmarks are, as far as params must know it: their suites, one entry each."""

from dataclasses import dataclass
from typing import Literal

Benchmark = Literal["mini", "libero"]
# Of LIBERO's scenes: published, as in the published demonstrations, or simple, which render in 8 to 37 % of the time
# (benchmarks/README.md). The
# embedded suites have simple ones of their own.
Looks = Literal["published", "simple"]

NUM_INIT_STATES = 50  # fixed initial states per task, in both benchmarks


@dataclass(frozen=True)
class SuiteEntry:
    """A suite. The tasks of LIBERO's are read from LIBERO's own map: another of its suites is another entry here."""

    # Control steps that a rollout may take before it counts as failed.
    max_steps: int
    # The name in LIBERO's map of tasks, and of its folders; the embedded suites have none.
    libero_name: str = ""
    # The paper's actions per chunk. Source: paper section 4.1.
    chunk: int = 5


SUITES: dict[str, dict[str, SuiteEntry]] = {
    "mini": {
        # Three times as many as a demonstration takes (docs/suites.md).
        "spatial": SuiteEntry(90),
        "object": SuiteEntry(90),
        "goal": SuiteEntry(90),
        "long": SuiteEntry(200, chunk=10),
    },
    "libero": {
        "spatial": SuiteEntry(220, "libero_spatial"),  # longest training demonstration has 193 steps
        "object": SuiteEntry(280, "libero_object"),  # longest training demonstration has 254 steps
        "goal": SuiteEntry(300, "libero_goal"),  # longest training demonstration has 270 steps
        "long": SuiteEntry(520, "libero_10", chunk=10),  # longest training demonstration has 505 steps
    },
}


def suite_entry(benchmark: str, suite: str) -> SuiteEntry:
    """Return what a suite is.

    Raises:
        ValueError: the benchmark has no such suite.
    """
    if benchmark not in SUITES:
        raise ValueError(f"benchmark is '{benchmark}'; known: {', '.join(SUITES)}")
    if suite not in SUITES[benchmark]:
        raise ValueError(
            f"suite '{suite}' is not in the benchmark '{benchmark}'; it has: {', '.join(SUITES[benchmark])}"
        )
    return SUITES[benchmark][suite]


def suite_folder(benchmark: str, suite: str) -> str:
    """Return a suite's folder in LIBERO's layout: ``libero_10``; of an embedded suite, ``mini_goal``.

    Raises:
        ValueError: the benchmark has no such suite.
    """
    return suite_entry(benchmark, suite).libero_name or f"mini_{suite}"


def max_steps(benchmark: str, suite: str) -> int:
    """Return the control steps that a rollout of the suite may take.

    Raises:
        ValueError: the benchmark has no such suite.
    """
    return suite_entry(benchmark, suite).max_steps
