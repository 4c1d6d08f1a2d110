"""Closes a door by pushing it with closed fingers from the side; the hand keeps its orientation."""

import numpy as np

from worldvla.simulation.commands import CLOSE, OPEN, command
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.scene import Goal, Joint, Scene

LEVER = 0.75  # where it is pushed: share of its reach from the axis
BAND_M = 0.020  # below its top: what is pushed
DEPTH_M = 0.015  # of the finger tips' centre below its top
FINGERS_M = np.array([0.010, 0.026])  # half the extents of the closed fingers along x and y
STANDOFF_M = 0.020
PUSH_M = 0.040  # how far beyond the surface the hand aims
BESIDE_M = 0.012
ASIDE_M = 0.018  # before the hand comes down beside it
FUNNEL, ABOVE_M = 4.0, 0.080  # height per distance sideways, and at most
LEAVE_STEPS = 12


class Swinging:
    """The skill of a goal ``close`` for what turns about a vertical axis."""

    def __init__(self, scene: Scene, goal: Goal) -> None:
        """Take the goal: its predicate and the fixture."""
        self._scene, self._goal = scene, goal
        self._sign = self._toward_closed(self._joint())
        self._leaving = 0

    @property
    def is_done(self) -> bool:
        """Whether the predicate holds and the hand has left."""
        return self._scene.holds(self._goal) and not self._leaving

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene = self._scene
        if scene.holds(self._goal):
            self._leaving -= 1
            return command((0, 0, 1), OPEN)
        self._leaving = LEAVE_STEPS
        joint, hand = self._joint(), scene.hand()
        radial, tangent, reach, thickness, top = self._lever(joint)
        contact = joint.anchor + radial * reach * LEVER
        contact[2] = top - DEPTH_M
        standoff = thickness + float(FINGERS_M @ np.abs(tangent[:2]))
        away = hand - contact
        behind, beside, above = away @ tangent, away @ radial, away[2]
        if behind < 0.01 - standoff + BESIDE_M and abs(beside) < 2 * BESIDE_M and abs(above) < BESIDE_M:
            return motion.toward(contact + tangent * (PUSH_M - standoff) - hand, CLOSE)
        start = contact - tangent * (standoff + STANDOFF_M)
        aside = float(np.linalg.norm((start - hand)[:2]))
        if aside > ASIDE_M:
            start[2] += min(ABOVE_M, (aside - ASIDE_M) * FUNNEL)
            if aside > 0.06 and start[2] - hand[2] > 0.03:
                return command((0, 0, 1), CLOSE)
        return motion.toward(start - hand, CLOSE)

    def _joint(self) -> Joint:
        joint = self._scene.joint(self._goal[1])
        assert joint is not None
        return joint

    def _lever(self, joint: Joint) -> tuple[np.ndarray, np.ndarray, float, float, float]:
        """Return the lever: its direction and that of the push, float64 [3] each; length, half thickness, top (m)."""
        points = self._scene.points(joint.body)
        top = points[:, 2].max()
        away = (points[points[:, 2] > top - BAND_M] - joint.anchor) * [1, 1, 0]
        farthest = away[np.linalg.norm(away, axis=1).argmax()]
        # The direction of the part's length, not of its corner.
        axes = np.linalg.eigh(away.T @ away)[1]
        radial = axes[:, -1] * np.sign(axes[:, -1] @ farthest)
        tangent = np.cross([0, 0, self._sign * np.sign(joint.axis[2])], radial)
        return radial, tangent, float((away @ radial).max()), float(-(away @ tangent).min()), float(top)

    @staticmethod
    def _toward_closed(joint: Joint) -> float:
        """The sign of the way from open to closed: fixtures are closed at the end of the range that is near zero."""
        return 1.0 if abs(joint.limits[1]) < abs(joint.limits[0]) else -1.0
