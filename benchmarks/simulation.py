"""The simulator: resets and control steps against robosuite's own, and frames in both looks.

    LIBERO_ASSETS=<folder> python -m benchmarks.simulation

One thread, in one process, ours and theirs in turn on the same states and actions; tests/test_libero_exactness.py proves
that they give the same bits. Without LIBERO's assets: the embedded suite alone.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from worldvla.params.benchmarks import SUITES
from worldvla.simulation import engine
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.libero_assets import find_assets
from worldvla.simulation.tasks import Task, tasks

engine.import_simulator()
from libero.libero.envs.env_wrapper import ControlEnv  # noqa: E402

from worldvla.simulation.problems import build  # noqa: E402

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


def measure_step(task: Task) -> tuple[float, float]:
    """Return milliseconds of a control step: robosuite's own, without the sensors that nothing reads, and ours."""
    theirs, ours = [], []
    with Environment(task, pixels=16, seed=0) as environment:
        environment.restore(init_states(task)[0])  # which selects the assets and the physics step
        stock = build(task, "simple")
        for action in ACTIONS:
            stock.sim.set_state_from_flattened(environment.state())
            stock.sim.forward()
            theirs.append(milliseconds(lambda action=action: stock.step(action)))
            ours.append(milliseconds(lambda action=action: environment.step(action)))
        stock.close()
    return statistics.median(theirs), statistics.median(ours)


def measure_reset(task: Task) -> tuple[float, float]:
    """Return milliseconds of a reset: LIBERO's hard one, and ours."""
    states = init_states(task)[:NUM_RESETS]
    with Environment(task, pixels=16, seed=0, looks="published") as environment:
        ours = [milliseconds(lambda state=state: environment.restore(state)) for state in states]
        stock = ControlEnv(bddl_file_name=str(task.bddl_file), use_camera_obs=False, ignore_done=True).env
        theirs = [milliseconds(lambda state=state: hard_reset(stock, state)) for state in states]
        stock.close()
    return statistics.median(theirs), statistics.median(ours)


def measure_frame(task: Task) -> tuple[float, float]:
    """Return milliseconds of a frame: in published looks, and in simple ones."""
    times = []
    for looks in ("published", "simple"):
        with Environment(task, pixels=PIXELS, seed=0, looks=looks) as environment:
            environment.restore(init_states(task)[0])
            times.append(statistics.median(milliseconds(environment.frame) for _ in range(NUM_FRAMES)))
    return times[0], times[1]


def main() -> None:
    """Print a table."""
    print(f"milliseconds, stock -> ours; frames of {PIXELS} px, published -> simple looks")
    print(f"mini goal       step {shown(measure_step(tasks('mini', 'goal')[0]))}", flush=True)
    try:
        find_assets()
    except ValueError as error:
        print(f"LIBERO: {error}")
        return
    for suite in SUITES["libero"]:
        task = tasks("libero", suite)[0]
        times = {"reset": measure_reset(task), "step": measure_step(task), "frame": measure_frame(task)}
        print(f"libero {suite:8} " + "   ".join(f"{name} {shown(pair)}" for name, pair in times.items()), flush=True)


def shown(pair: tuple[float, float]) -> str:
    """Return two times and their ratio."""
    return f"{pair[0]:7.2f} -> {pair[1]:6.2f} ({pair[0] / pair[1]:5.1f}x)"


if __name__ == "__main__":
    main()
