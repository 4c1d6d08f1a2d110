"""A scripted expert for the embedded suites: it sees the simulator's state, a policy has to see the same in pictures.

Its commands are multiples of a quarter of full scale, like a person's on a coarse joystick, and a function of what the
agentview shows: where the gripper and the things are and how far the fingers are open. So a policy can learn them.

It never stands still while it waits for the fingers: the filter drops steps without motion, and a replay of what is left
would lift before the fingers are closed.
"""

import numpy as np

from worldvla.simulation.commands import CLOSE, FULL_SCALE_M, OPEN, command
from worldvla.simulation.libero import Environment
from worldvla.simulation.mini.starts import TABLE_TOP
from worldvla.simulation.mini.suites import SUITES, Goal

GAIN = 1.25
CREEP = 0.25  # upward command while the fingers move

GRASP_BELOW_TOP_M = 0.028  # the gripper's centre under the item's top
HOVER_ABOVE_TOP_M = 0.030
ALIGNED_M = np.array([0.015, 0.012])
CLOSED_M = 0.034  # gap of the fingers on a handle of 2.2 cm
CARRY_M = 0.080  # the item's foot above the table
OVER_M = 0.030
LEAVE_ASIDE_M, LEAVE_ABOVE_M = 0.05, 0.03  # closer than that to the top of an item, the open fingers are around it


class Expert:
    """Puts the task's items in their containers, one after the other, and starts again after a miss."""

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
        self._suite = SUITES[task.suite]
        self._goals = self._suite.tasks[task.index].goals
        self._goal = self._goals[0]
        self._env = environment.robosuite
        self._closed = False

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        hand, gap = self._hand(), self._gap()
        if not self._closed:
            missing = [goal for goal in self._goals if not self._over(goal)]
            self._goal = missing[0] if missing else self._goal
        grasp = self._grasp(self._goal)
        over = self._over(self._goal)
        held = bool(np.all(np.abs(hand - grasp) < 0.045)) and gap > 0.012
        if self._closed and (not held or over):
            self._closed = False
            if held:
                return command((0, 0, CREEP), OPEN)
        if self._closed:
            return self._carry(gap)
        if over or self._leaving(hand):
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

    def _carry(self, gap: float) -> np.ndarray:
        if gap > CLOSED_M:
            return command((0, 0, CREEP), CLOSE)
        lift = CARRY_M - self._position(self._goal.item)[2]
        if lift > 0.03:
            return command((0, 0, 1), CLOSE)
        return toward(np.append(self._way(self._goal), lift), CLOSE)

    def _over(self, goal: Goal) -> bool:
        """Whether the item is over or in its place in the container."""
        return bool(np.all(np.abs(self._way(goal)) < OVER_M))

    def _way(self, goal: Goal) -> np.ndarray:
        """The horizontal way of the item to its place in the container, float64 [2]."""
        return self._position(goal.container)[:2] + goal.slot - self._position(goal.item)[:2]

    def _leaving(self, hand: np.ndarray) -> bool:
        """Whether the fingers are still around an item in its place: moved aside, they would take it along."""
        for goal in self._goals:
            above = self._grasp(goal) + np.array([0, 0, GRASP_BELOW_TOP_M + LEAVE_ABOVE_M]) - hand
            if self._over(goal) and above[2] > 0 and np.abs(above[:2]).max() < LEAVE_ASIDE_M:
                return True
        return False

    def _grasp(self, goal: Goal) -> np.ndarray:
        """Where the gripper's centre takes the item by its handle."""
        return self._position(goal.item) + np.array([0, 0, self._suite.thing(goal.item).kind.top - GRASP_BELOW_TOP_M])

    def _hand(self) -> np.ndarray:
        """The gripper's centre above the table."""
        return self._env.sim.data.site_xpos[self._env.robots[0].eef_site_id] - TABLE_TOP

    def _gap(self) -> float:
        left, right = self._env.sim.data.qpos[self._env.robots[0]._ref_gripper_joint_pos_indexes]
        return float(left - right)

    def _position(self, name: str) -> np.ndarray:
        """The foot of a thing above the table."""
        return self._env.sim.data.body_xpos[self._env.obj_body_id[self._suite.thing(name).instance]] - TABLE_TOP


def toward(error: np.ndarray, gripper: float) -> np.ndarray:
    """Return the action that moves by about ``error`` (m)."""
    return command(np.clip(error / FULL_SCALE_M * GAIN, -1, 1), gripper)
