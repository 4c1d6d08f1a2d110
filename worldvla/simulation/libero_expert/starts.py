"""Where a demonstration of a LIBERO task starts: fresh placements around the fixtures where every reset has them."""

import numpy as np

from worldvla.simulation.libero import DUMMY_ACTION, Environment
from worldvla.simulation.mini.starts import move_arm

JITTER_M = np.array([0.02, 0.02, 0.02])  # of the hand around its home, each way
NUM_REST_STEPS = 10


def draw_start(environment: Environment, seed: list[int], spread: float) -> np.ndarray:
    """Return a simulator state, float64 [n], with fresh placements and a fresh pose of the arm, all at rest."""
    generator = np.random.default_rng(seed)
    environment.place(int(generator.integers(2**32)))
    robot = environment.robosuite.robots[0]
    home = environment.robosuite.sim.data.site_xpos[robot.eef_site_id].copy()
    move_arm(environment.robosuite, home + generator.uniform(-1, 1, 3) * spread * JITTER_M)
    for _ in range(NUM_REST_STEPS):
        environment.step(DUMMY_ACTION)
    state = environment.state()
    state[0] = 0.0  # time
    state[-environment.robosuite.sim.model.nv :] = 0.0
    return state
