"""What robosuite does with an action between two physics steps: the same bits in half the time (benchmarks/README.md).

Its names are looked up once and not in every physics step, its Jacobians are computed once and not twice, and buffers that
nothing here reads are not filled. The arithmetic is robosuite's own, in its order.
"""

from typing import Any

import mujoco
import numpy as np
from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error


class ArmControl:
    """Turns actions into the controls of one arm with a gripper, by robosuite's controller ``OSC_POSE`` with its defaults.

    Source: ``OperationalSpaceController``, ``SingleArm.control`` and ``Manipulator.grip_action`` of robosuite 1.4.
    """

    def __init__(self, robosuite: Any) -> None:
        """Take an environment that was just built, and what never changes of it."""
        (self._robot,) = robosuite.robots
        self._model, self._data = robosuite.sim.model._model, robosuite.sim.data._data
        controller = self._robot.controller
        assert controller.name == "OSC_POSE"
        assert (controller.impedance_mode, controller.uncoupling, controller.use_delta) == ("fixed", True, True)
        assert controller.interpolator_pos is None
        assert controller.interpolator_ori is None
        self._site = self._robot.eef_site_id
        self._positions, self._velocities = np.array(controller.qpos_index), np.array(controller.qvel_index)
        self._motors = np.array(self._robot._ref_joint_actuator_indexes)
        self._torque_limits = self._robot.torque_limits
        self._gripper_motors = np.array(self._robot._ref_joint_gripper_actuator_indexes)
        low, high = self._model.actuator_ctrlrange[self._gripper_motors].T
        self._gripper_middle, self._gripper_half_range = 0.5 * (high + low), 0.5 * (high - low)
        self._jacobian = np.zeros((6, self._model.nv))
        self._inertia = np.zeros((self._model.nv, self._model.nv))

    def apply(self, action: np.ndarray, is_first: bool) -> None:
        """Set the controls of the next physics step, when positions and velocities are computed.

        Args:
            action: float64 [7] in [-1, 1].
            is_first: whether the action begins with this physics step.
        """
        controller = self._robot.controller  # a new one after every reset
        if controller.new_update:  # else it knows the arm as it was when it was last told, and goes by that
            # robosuite computes the forward dynamics anew. Only the solver's result depends on where it starts.
            mujoco.mj_fwdConstraint(self._model, self._data)
            self._look(controller)
            controller.new_update = False
        if is_first:
            controller.set_goal(action[:6])
        low, high = self._torque_limits
        torques = np.minimum(np.maximum(self._torques(controller), low), high)
        gripper = self._robot.gripper.format_action(action[6:])
        self._data.ctrl[self._gripper_motors] = self._gripper_middle + self._gripper_half_range * gripper
        self._data.ctrl[self._motors] = torques
        controller.new_update = True

    def _look(self, controller: Any) -> None:
        """Tell a controller where the arm is and how it moves."""
        data, jacobian = self._data, self._jacobian
        mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], self._site)
        mujoco.mj_fullM(self._model, self._inertia, data.qM)
        velocity = data.qvel
        controller.ee_pos = data.site_xpos[self._site].copy()
        controller.ee_ori_mat = data.site_xmat[self._site].reshape(3, 3).copy()
        controller.ee_pos_vel, controller.ee_ori_vel = np.dot(jacobian[:3], velocity), np.dot(jacobian[3:], velocity)
        controller.joint_pos, controller.joint_vel = data.qpos[self._positions], velocity[self._velocities]
        controller.J_pos, controller.J_ori = jacobian[:3][:, self._velocities], jacobian[3:][:, self._velocities]
        controller.J_full = np.vstack([controller.J_pos, controller.J_ori])
        controller.mass_matrix = self._inertia[self._velocities, :][:, self._velocities]

    def _torques(self, controller: Any) -> np.ndarray:
        """Return the torques that pull the hand to a controller's goal, float64 [7]."""
        kp, kd = controller.kp, controller.kd
        force = (controller.goal_pos - controller.ee_pos) * kp[:3] + -controller.ee_pos_vel * kd[:3]
        turn = orientation_error(controller.goal_ori, controller.ee_ori_mat)
        torque = turn * kp[3:] + -controller.ee_ori_vel * kd[3:]
        _, mass, moment, null_space = opspace_matrices(
            controller.mass_matrix, controller.J_full, controller.J_pos, controller.J_ori
        )
        wrench = np.concatenate([np.dot(mass, force), np.dot(moment, torque)])
        torques = np.dot(controller.J_full.T, wrench) + self._data.qfrc_bias[self._velocities]
        return torques + nullspace_torques(
            controller.mass_matrix, null_space, controller.initial_joint, controller.joint_pos, controller.joint_vel
        )
