"""Turns a knob on: takes its ridge between the fingers and turns the hand."""

import numpy as np

from worldvla.simulation.commands import CLOSE, OPEN, command
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.fingers import Fingers
from worldvla.simulation.libero_expert.scene import Goal, Joint, Scene

BAND_M = 0.020  # below the knob's top: its ridge
DEPTH_M = 0.015  # of the finger tips' centre below the top
OFF_AXIS_M = 0.015
ALIGNED_M, ALIGNED_RAD = 0.008, 0.30
DEEP_M = 0.008
FUNNEL, HOVER_M = 6.0, 0.070  # height over the knob per distance sideways, and at most
HELD_M = 0.030
TWIST_RAD = 0.5  # asked for at a time
LEAVE_M = 0.080


class Twisting:
    """The skill of a goal ``turnon``."""

    def __init__(self, scene: Scene, goal: Goal) -> None:
        """Take the goal: its predicate and the fixture."""
        self._scene, self._goal = scene, goal
        self._fingers = Fingers(scene)

    @property
    def is_done(self) -> bool:
        """Whether it is on and the hand has left."""
        return self._scene.holds(self._goal) and not self._fingers.hold and not self._is_around()

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene, hand = self._scene, self._scene.hand()
        if scene.holds(self._goal):
            self._fingers.release()
            return motion.wait(OPEN) if scene.gap() < 0.06 else command((0, 0, 1), OPEN)
        joint = self._joint()
        point, radial = self._ridge(joint)
        away = hand - point
        if self._fingers.hold:
            if self._fingers.are_closing():
                return motion.wait(CLOSE)
            if np.linalg.norm(away) < HELD_M and scene.gap() > 0.005:
                return motion.toward(-away, CLOSE, np.array([0, 0, np.sign(joint.axis[2]) * TWIST_RAD]))
            self._fingers.release()
        turn = self._turn(radial)
        aside = float(np.linalg.norm(away[:2]))
        if aside < ALIGNED_M and np.linalg.norm(turn) < ALIGNED_RAD:
            if away[2] < DEEP_M:
                self._fingers.close()
                return motion.wait(CLOSE)
            return motion.toward(-away, OPEN, turn)
        hover = min(HOVER_M, max(0.0, aside - ALIGNED_M) * FUNNEL)
        if np.linalg.norm(turn) > ALIGNED_RAD:
            hover = HOVER_M
        if aside > 0.05 and hover - away[2] > 0.03:
            return command((0, 0, 1), OPEN)
        return motion.toward(np.append(-away[:2], hover - away[2]), OPEN, turn)

    def _turn(self, radial: np.ndarray) -> np.ndarray:
        """The rotation that the hand still needs to have the ridge between the fingers."""
        angle = motion.angle_to_close_along(self._scene.home, np.array([-radial[1], radial[0]]))
        return motion.rotation_between(self._scene.turn(), motion.about_z(angle) @ self._scene.home)

    def _ridge(self, joint: Joint) -> tuple[np.ndarray, np.ndarray]:
        """Return where the ridge is taken and along which direction it runs, float64 [3] each."""
        points = self._scene.points(joint.body)
        top = points[:, 2].max()
        away = (points[points[:, 2] > top - BAND_M] - joint.anchor) * [1, 1, 0]
        axes = np.linalg.eigh(away.T @ away)[1]
        radial = axes[:, -1] * np.sign(axes[0, -1])  # away from the robot, which is short of room
        point = joint.anchor + radial * OFF_AXIS_M
        point[2] = top - DEPTH_M
        return point, radial

    def _is_around(self) -> bool:
        """Whether the fingers are still around the knob."""
        point, _ = self._ridge(self._joint())
        away = self._scene.hand() - point
        return bool(np.abs(away[:2]).max() < 0.05 and away[2] < LEAVE_M)

    def _joint(self) -> Joint:
        joint = self._scene.joint(self._goal[1])
        assert joint is not None
        return joint
