"""A scripted expert for the embedded suites: it sees the simulator's state, a policy has to see the same in pictures.

Its commands are multiples of a quarter of full scale, like a person's on a coarse joystick, and a function of what the
agentview shows: where the gripper and the things are and how far the fingers are open. So a policy can learn them.

It never stands still while it waits for the fingers: the filter drops steps without motion, and a replay of what is left
would lift before the fingers are closed.
"""

import numpy as np

from worldvla.simulation.libero import Environment
from worldvla.simulation.mini.starts import TABLE_TOP
from worldvla.simulation.mini.suites import SUITES

FULL_SCALE_M = 0.05  # what a command of 1 asks of OSC_POSE
GAIN = 1.25
QUANTUM = 0.25
CREEP = 0.25  # upward command while the fingers move

GRASP_BELOW_TOP_M = 0.028  # the gripper's centre under the item's top
HOVER_ABOVE_TOP_M = 0.030
ALIGNED_M = np.array([0.015, 0.012])
CLOSED_M = 0.034  # gap of the fingers on a handle of 2.2 cm
CARRY_M = 0.080  # the item's foot above the table
OVER_M = 0.030

OPEN, CLOSE = -1.0, 1.0


class Expert:
    """Puts the task's item in its container, and starts again after a miss."""

    def __init__(self, environment: Environment) -> None:
        """Take an environment that was just reset.

        Raises:
            ValueError: the task is not of the embedded benchmark.
        """
        task = environment.task
        if task.benchmark != "mini":
            raise ValueError(
                f"there is no scripted expert for the benchmark '{task.benchmark}'; "
                "set benchmark: mini, or demonstrations: local"
            )
        suite = SUITES[task.suite]
        goal = suite.goals[task.index]
        self._item, self._container = suite.thing(goal.item), suite.thing(goal.container)
        self._env = environment.robosuite
        self._closed = False

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        hand, gap = self._hand(), self._gap()
        item, container = self._position(self._item.instance), self._position(self._container.instance)
        grasp = item + np.array([0, 0, self._item.top - GRASP_BELOW_TOP_M])
        over = bool(np.all(np.abs(item[:2] - container[:2]) < OVER_M))
        held = bool(np.all(np.abs(hand - grasp) < 0.045)) and gap > 0.012
        if self._closed and (not held or over):
            self._closed = False
            if held:
                return command((0, 0, CREEP), OPEN)
        if self._closed:
            return self._carry(item, container, gap)
        if over:
            return command((0, 0, 1), OPEN)
        aligned = bool(np.all(np.abs(hand - grasp)[:2] < ALIGNED_M))
        if aligned and hand[2] < grasp[2] + 0.010:
            self._closed = True
            return command((0, 0, CREEP), CLOSE)
        return self._reach(hand, grasp)

    def _reach(self, hand: np.ndarray, grasp: np.ndarray) -> np.ndarray:
        """Approach over a funnel, so that the fingers come from above."""
        away = float(np.max(np.abs(hand - grasp)[:2] - ALIGNED_M))
        hover = GRASP_BELOW_TOP_M + HOVER_ABOVE_TOP_M
        height = 0.0 if away < 0 else hover + min(0.03, max(0.0, away - 0.02))
        return toward(grasp + np.array([0, 0, height]) - hand, OPEN)

    def _carry(self, item: np.ndarray, container: np.ndarray, gap: float) -> np.ndarray:
        if gap > CLOSED_M:
            return command((0, 0, CREEP), CLOSE)
        lift = CARRY_M - item[2]
        if lift > 0.03:
            return command((0, 0, 1), CLOSE)
        return toward(np.append(container[:2] - item[:2], lift), CLOSE)

    def _hand(self) -> np.ndarray:
        """The gripper's centre above the table."""
        return self._env.sim.data.site_xpos[self._env.robots[0].eef_site_id] - TABLE_TOP

    def _gap(self) -> float:
        left, right = self._env.sim.data.qpos[self._env.robots[0]._ref_gripper_joint_pos_indexes]
        return float(left - right)

    def _position(self, instance: str) -> np.ndarray:
        """The foot of a thing above the table."""
        return self._env.sim.data.body_xpos[self._env.obj_body_id[instance]] - TABLE_TOP


def toward(error: np.ndarray, gripper: float) -> np.ndarray:
    """Return the action that moves by about ``error`` (m)."""
    return command(np.clip(error / FULL_SCALE_M * GAIN, -1, 1), gripper)


def command(translation: np.ndarray | tuple[float, float, float], gripper: float) -> np.ndarray:
    """Return an action of a quantised translation, no rotation, and the gripper's command."""
    quantised = np.round(np.asarray(translation, dtype=np.float64) / QUANTUM) * QUANTUM + 0.0
    return np.concatenate([quantised, np.zeros(3), [gripper]])
