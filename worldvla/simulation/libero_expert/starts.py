"""Where a demonstration of a LIBERO task starts: drawn by LIBERO's own samplers, at rest."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from worldvla.simulation.arm import move_arm
from worldvla.simulation.libero import DUMMY_ACTION, Environment

ARM_JITTER_M = np.array([0.010, 0.015, 0.010])  # of LIBERO's initial states, about; the whole range is twice that
MIN_REST_STEPS, MAX_REST_STEPS = 10, 100  # things are placed up to 8 cm above what they stand on
REST_M_S = 0.002
UPRIGHT = 0.95  # cosine of how far a thing may tip over while it comes to rest
MAX_DROP_M = 0.20  # further down it fell off
MAX_DRAWS = 20


def draw_start(environment: Environment, seed: list[int], spread: float = 1.0) -> np.ndarray:
    """Return a simulator state, float64 [n], with fresh placements and a fresh pose of the arm, all at rest.

    Fixtures, which the state does not hold, stay where ``environment.restore`` puts them.

    Args:
        environment: of a LIBERO task; it is left in an arbitrary state.
        seed: what the state is a function of, beside the environment's own seed.
        spread: factor of the arm's jitter; demonstrations start from a wider range than rollouts.

    Raises:
        RuntimeError: no draw leaves all things standing where they were placed.
    """
    generator = np.random.default_rng(seed)
    with _fixtures_kept(environment):
        for _ in range(MAX_DRAWS):
            environment.place(int(generator.integers(2**32)))
            env = environment.robosuite
            env.sim.forward()
            hand = env.sim.data.site_xpos[env.robots[0].eef_site_id]
            move_arm(env, hand + generator.uniform(-1, 1, 3) * ARM_JITTER_M * spread)
            before = _poses(env)
            solved = _settle(environment)
            if not solved and _stands(before, _poses(env)):
                state = environment.state()
                state[0] = 0.0  # time
                state[-env.sim.model.nv :] = 0.0  # velocities
                return state
    raise RuntimeError(f"{environment.task.suite}/{environment.task.name}: no start with all things standing")


@contextlib.contextmanager
def _fixtures_kept(environment: Environment) -> Iterator[None]:
    """Let LIBERO's samplers place the fixtures where the environment's own seed does."""
    environment.restore(environment.state())
    env = environment.robosuite
    kept: list[tuple[Any, dict[str, Any]]] = []
    for sampler in env.placement_initializer.samplers.values():
        name = sampler.mujoco_objects[0].name
        if name in env.fixtures_dict:
            kept.append((sampler, dict(vars(sampler))))
            body = env.obj_body_id[name]
            x, y, _ = env.sim.model.body_pos[body] - sampler.reference_pos
            w, _, _, z = env.sim.model.body_quat[body]
            sampler.x_ranges, sampler.y_ranges = [(x, x)], [(y, y)]
            sampler.rotation = 2 * np.arctan2(z, w)
    try:
        yield
    finally:
        for sampler, attributes in kept:
            vars(sampler).update(attributes)


def _settle(environment: Environment) -> bool:
    """Wait until everything rests; return whether the task is solved then."""
    data, solved = environment.robosuite.sim.data, False
    for number in range(MAX_REST_STEPS):
        solved = environment.step(DUMMY_ACTION)
        if number >= MIN_REST_STEPS and np.abs(data.qvel).max() < REST_M_S:
            break
    return solved


def _poses(env: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return where every object is (m) and which way its axes point."""
    bodies = {name: env.obj_body_id[name] for name in env.objects_dict}
    data = env.sim.data
    return {name: (data.body_xpos[body].copy(), data.body_xmat[body].copy()) for name, body in bodies.items()}


def _stands(before: dict[str, tuple[np.ndarray, np.ndarray]], after: dict[str, tuple[np.ndarray, np.ndarray]]) -> bool:
    """Return whether no object fell off or tipped over."""
    for name, (place, axes) in before.items():
        now, turned = after[name]
        # The vertical in the object's own frame, before and after.
        upright = float(axes.reshape(3, 3)[2] @ turned.reshape(3, 3)[2])
        if upright < UPRIGHT or place[2] - now[2] > MAX_DROP_M:
            return False
    return True
