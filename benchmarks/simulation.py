"""The simulator: resets and control steps against robosuite's own, and frames in both looks.

    LIBERO_ASSETS=<folder> python -m benchmarks.simulation

One thread, in one process, ours and theirs in turn on the same states and actions; tests/test_libero_exactness.py proves
that they give the same bits. Without LIBERO's assets: the embedded suite alone.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from worldvla.simulation import engine
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.stepping import ExactStepper
from worldvla.simulation.tasks import Task, tasks

PIXELS = 128
NUM_RESETS, NUM_STEPS, NUM_FRAMES = 5, 60, 10
ACTIONS = np.random.default_rng(1).uniform(-1, 1, (NUM_STEPS, 7))


def milliseconds(run: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def hard_reset(environment: Any, state: np.ndarray) -> None:
    """Reset a stock LIBERO environment as its users do: the scene is built and compiled again."""
    environment.object_property_initializers = []  # else four tasks start elsewhere at every reset
    np.random.seed(0)
    environment.reset()
    environment.sim.set_state_from_flattened(state)
    environment.sim.forward()


def measure(task: Task) -> list[float]:
    """Return milliseconds: reset stock, ours; step stock, ours; frame published, simple."""
    states = init_states(task)[:NUM_RESETS]
    with Environment(task, pixels=PIXELS, seed=0, looks="published") as ours:
        resets = [milliseconds(lambda state=state: ours.restore(state)) for state in states]
        steps, stock_steps = [], []
        for action in ACTIONS:
            before = ours.state()
            steps.append(milliseconds(lambda action=action: ours.step(action)))
            ours.robosuite.sim.set_state_from_flattened(before)
            stock_steps.append(milliseconds(lambda action=action: ours.robosuite.step(action)))
        published = [milliseconds(ours.frame) for _ in range(NUM_FRAMES)]
        assert isinstance(ours._stepper, ExactStepper)
    with Environment(task, pixels=PIXELS, seed=0, looks="simple") as plain:
        plain.restore(states[0])
        simple = [milliseconds(plain.frame) for _ in range(NUM_FRAMES)]
    engine.import_simulator()
    from libero.libero.envs.env_wrapper import ControlEnv

    stock = ControlEnv(bddl_file_name=str(task.bddl_file), use_camera_obs=False, ignore_done=True).env
    stock_resets = [milliseconds(lambda state=state: hard_reset(stock, state)) for state in states]
    stock.close()
    return [statistics.median(times) for times in (stock_resets, resets, stock_steps, steps, published, simple)]


def main() -> None:
    """Print a table."""
    suites = ["spatial", "object", "goal", "long"] if "LIBERO_ASSETS" in os.environ else []
    print("milliseconds; frames of 128 px")
    print(f"{'suite':8} {'reset':>18} {'ratio':>6} {'step':>14} {'ratio':>6} {'frame':>14} {'ratio':>6}")
    for suite in suites:
        times = measure(tasks("libero", suite)[0])
        pairs = list(zip(times[::2], times[1::2], strict=True))
        print(f"{suite:8} " + " ".join(f"{a:8.2f} -> {b:6.2f} {a / b:6.2f}" for a, b in pairs), flush=True)


if __name__ == "__main__":
    main()
