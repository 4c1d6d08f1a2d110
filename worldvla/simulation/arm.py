"""Moves the arm of a simulation without stepping it: where an episode starts."""

from typing import Any

import mujoco
import numpy as np

GRIPPER_OPEN_M = (0.04, -0.04)


def move_arm(env: Any, target: np.ndarray) -> None:
    """Put the open gripper's centre at ``target`` (m, world frame) in its home orientation, by damped least squares.

    Args:
        env: the robosuite environment.
        target: float64 [3].
    """
    robot = env.robots[0]
    model, data = env.sim.model._model, env.sim.data._data
    site, joints, velocities = robot.eef_site_id, robot._ref_joint_pos_indexes, robot._ref_joint_vel_indexes
    home = robot.controller.initial_ee_ori_mat
    data.qpos[robot._ref_gripper_joint_pos_indexes] = GRIPPER_OPEN_M
    jacobian = np.zeros((6, model.nv))
    for _ in range(50):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        current = data.site_xmat[site].reshape(3, 3)
        turn = 0.5 * np.cross(current.T, home.T).sum(0)
        error = np.concatenate([target - data.site_xpos[site], turn])
        if np.abs(error).max() < 1e-6:
            break
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        part = jacobian[:, velocities]
        data.qpos[joints] += part.T @ np.linalg.solve(part @ part.T + 1e-6 * np.eye(6), error)
    robot.controller.update(force=True)  # else its first goal is relative to the pose before
