"""LIBERO's forty tasks: a reset and a step give the bits of robosuite's own, slower ones, again and in another process.

Takes half an hour on one core.
"""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from libero_marks import LIBERO

from worldvla.params.benchmarks import SUITES
from worldvla.simulation import engine
from worldvla.simulation.libero import Environment, init_states
from worldvla.simulation.processes import spawn_context
from worldvla.simulation.tasks import Task, tasks

pytestmark = LIBERO

ACTIONS = np.random.default_rng(1).uniform(-1, 1, (40, 7))
PIXELS = 64
ALL = [task for suite in SUITES["libero"] for task in tasks("libero", suite)]


def episode(environment: Environment, state: np.ndarray) -> list[np.ndarray]:
    """Return states, controls, frames and successes of 40 steps after a reset."""
    environment.restore(state)
    found = []
    for action in ACTIONS:
        success = environment.step(action)
        found += [
            environment.state(),
            np.array(environment.robosuite.sim.data.ctrl),
            environment.frame(),
            np.array(success),
        ]
    return found


def episode_elsewhere(task: Task, state: np.ndarray) -> list[np.ndarray]:
    with Environment(task, pixels=PIXELS, seed=0, looks="published") as environment:
        return episode(environment, state)


def stock_episode(task: Task, state: np.ndarray) -> list[np.ndarray]:
    """Return the same of LIBERO's own environment: a hard reset, and robosuite's step."""
    engine.import_simulator()
    from libero.libero.envs.env_wrapper import ControlEnv

    np.random.seed(0)
    env = ControlEnv(bddl_file_name=str(task.bddl_file), use_camera_obs=False, ignore_done=True).env
    # LIBERO adds a sampler at every reset, which then draws before the fixtures are placed.
    env.object_property_initializers = []
    np.random.seed(0)
    env.reset()
    env.sim.set_state_from_flattened(state)
    env.sim.data.qacc_warmstart[:] = 0
    env.sim.forward()
    env._post_process()
    found = []
    for action in ACTIONS:
        env.step(action)
        frame = env.sim.render(width=PIXELS, height=PIXELS, camera_name="agentview")[::-1, ::-1]
        found += [env.sim.get_state().flatten(), np.array(env.sim.data.ctrl), frame, np.array(env._check_success())]
    env.close()
    return found


@pytest.mark.parametrize("task", ALL, ids=lambda task: f"{task.suite}-{task.index}")
def test_a_reset_and_a_step_have_the_bits_of_the_stock_ones_here_and_in_another_process(task):
    state, other = init_states(task)[3], init_states(task)[7]
    with ProcessPoolExecutor(1, spawn_context()) as pool:
        elsewhere = pool.submit(episode_elsewhere, task, state)
        with Environment(task, pixels=PIXELS, seed=0, looks="published") as environment:
            episode(environment, other)
            first = episode(environment, state)
            again = episode(environment, state)
        stock = stock_episode(task, state)
        for name, found in (("again", again), ("elsewhere", elsewhere.result()), ("stock", stock)):
            for expected, got in zip(first, found, strict=True):
                np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("task", ALL, ids=lambda task: f"{task.suite}-{task.index}")
def test_simple_looks_change_no_state(task):
    states = []
    for looks in ("published", "simple"):
        with Environment(task, pixels=16, seed=0, looks=looks) as environment:
            environment.reset(init_states(task)[0])
            for action in ACTIONS[:10]:
                environment.step(action)
            states.append(environment.state())
    np.testing.assert_array_equal(states[0], states[1])


def test_the_bowl_of_spatial_task_5_sits_on_its_ramekin_after_settling():
    """From MuJoCo 3.4 on it falls: every initial state holds it 11 cm above and relies on the settling."""
    task = tasks("libero", "spatial")[5]
    with Environment(task, pixels=16, seed=0) as environment:
        for number, state in enumerate(init_states(task)):
            environment.reset(state)
            sim, bodies = environment.robosuite.sim, environment.robosuite.obj_body_id
            bowl, ramekin = (
                sim.data.body_xpos[bodies[name]] for name in ("akita_black_bowl_1", "glazed_rim_porcelain_ramekin_1")
            )
            assert np.linalg.norm((bowl - ramekin)[:2]) < 0.02, number
            assert 0.02 < bowl[2] - ramekin[2] < 0.05, number
            assert np.abs(sim.data.qvel[9:]).max() < 0.01, number
