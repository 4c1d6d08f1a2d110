"""Where an episode of an embedded suite starts: drawn at random, or one of the fixed initial states."""

from typing import Any

import numpy as np

from worldvla.simulation.arm import move_arm
from worldvla.simulation.mini.suites import INIT_STATE_SEED, NUM_INIT_STATES, SUITES

TABLE_TOP = np.array([0, 0, 0.90])  # in the world frame (m)
NUM_REST_STEPS = 5  # things are placed 1 mm above the table
STAY = np.array([0, 0, 0, 0, 0, 0, -1.0])


def draw_start(environment: Any, suite: str, seed: list[int], spread: float = 1.0) -> np.ndarray:
    """Return a simulator state, float64 [n], with fresh placements and a fresh pose of the arm, all at rest.

    Args:
        environment: an ``Environment`` of a mini task; it is left in an arbitrary state.
        suite: the mini suite.
        seed: what the state is a function of.
        spread: factor of the arm's jitter; demonstrations start from a wider range than rollouts.
    """
    generator = np.random.default_rng(seed)
    environment.place(int(generator.integers(2**32)))
    scene = SUITES[suite]
    target = np.array(scene.start) + generator.uniform(-1, 1, 3) * np.multiply(spread, scene.start_jitter) + TABLE_TOP
    move_arm(environment.robosuite, target)
    for _ in range(NUM_REST_STEPS):
        environment.step(STAY)
    state = environment.state()
    velocities = environment.robosuite.sim.model.nv
    state[0] = 0.0  # time
    state[-velocities:] = 0.0
    return state


def draw_init_states(environment: Any) -> np.ndarray:
    """Return the fixed initial states of an environment's task, float64 [50, n]."""
    task = environment.task
    seeds = ([INIT_STATE_SEED, task.index, number] for number in range(NUM_INIT_STATES))
    return np.stack([draw_start(environment, task.suite, seed) for seed in seeds])
