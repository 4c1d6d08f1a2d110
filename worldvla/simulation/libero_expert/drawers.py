"""Opens a drawer by its handle, and closes it by a push on the handle.

The hand is turned for both: to open it comes from the front, with a finger above and one below the bar; to close it is
tilted back, so that it has room in front of the drawers above.
"""

import numpy as np

from worldvla.simulation.commands import CLOSE, OPEN, command
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.fingers import Fingers
from worldvla.simulation.libero_expert.scene import Goal, Joint, Scene

UP = np.array([0.0, 0.0, 1.0])
OPENING_TILT, CLOSING_TILT = np.deg2rad(80), np.deg2rad(40)
BEFORE_M = 0.070  # from the handle to where the hand waits until it is turned
AHEAD_M = 0.100  # to where it turns
ALIGNED_M, ALIGNED_RAD = 0.012, 0.25
DEEP_M = 0.006
BEYOND_M = 0.005  # the bar's middle
OPEN_MARGIN_M = 0.006  # beyond what the predicate asks
PULL_M = 0.015  # how far ahead the hand aims: a faster pull slips off the bar
HELD_M = 0.030
PUSH_M = 0.040
FINGER_M = 0.012
LEAVE_M = 0.100
FRONT_M, ABOVE_M = 0.040, 0.120  # from the handle to where the hand comes down to push


class Opening:
    """Makes ``open`` true of a sliding region, for its own sake or as long as something is to be put in."""

    def __init__(self, scene: Scene, region: str, until: Goal | None = None) -> None:
        """Take the drawer's region, and the goal that it is opened for."""
        self._scene, self._region, self._until = scene, region, until
        self._fingers = Fingers(scene)
        self._start = scene.hand()
        self._leaving = False

    @property
    def is_done(self) -> bool:
        """Whether the drawer is open and the hand has left its handle."""
        if self._until is not None and self._scene.holds(self._until):
            return True
        return self._is_open() and not self._fingers.hold and not self._leaving

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene, hand = self._scene, self._scene.hand()
        joint = self._joint()
        outward = outward_of(joint)
        turned = turned_home(scene.home, outward, OPENING_TILT, along=True)
        approach = turned @ (scene.home.T @ -UP)
        turn = motion.rotation_between(scene.turn(), turned)
        bar = handle(scene, joint, outward).mean(0) + approach * BEYOND_M
        if self._fingers.hold:
            if self._fingers.are_closing():
                return motion.wait(CLOSE)
            if np.linalg.norm(hand - bar) > HELD_M:
                self._fingers.release()
                return command(outward, OPEN)
            if self._is_open():
                self._fingers.release()
                self._leaving = True
                return motion.wait(OPEN)
            sideways = bar - hand - outward * ((bar - hand) @ outward)
            return motion.toward(outward * PULL_M + sideways, CLOSE)
        away = (hand - bar) @ outward
        if self._leaving:
            if scene.gap() < 0.05:
                return motion.wait(OPEN)
            home = motion.rotation_between(scene.turn(), scene.home)
            self._leaving = away < LEAVE_M or bool(np.linalg.norm(home) > ALIGNED_RAD)
            # Home first: turned elsewhere out here, the arm would stretch to its limits and stay there.
            if away < LEAVE_M:
                return motion.toward(-approach * 0.05, OPEN)
            return motion.toward(self._start - hand, OPEN, home)
        offset = hand - bar
        sideways = offset - approach * (offset @ approach)
        if np.linalg.norm(turn) > ALIGNED_RAD:
            return motion.toward(bar - approach * AHEAD_M - hand, OPEN, turn)
        if np.linalg.norm(sideways) > ALIGNED_M and away < BEFORE_M:
            return motion.toward(-sideways - approach * 0.02, OPEN)
        if np.linalg.norm(sideways) > ALIGNED_M:
            return motion.toward(bar - approach * BEFORE_M - hand, OPEN)
        if np.linalg.norm(offset @ approach) < DEEP_M:
            self._fingers.close()
            return motion.wait(CLOSE)
        return motion.toward(-offset, OPEN)

    def _is_open(self) -> bool:
        return self._scene.holds(("open", self._region))

    def _joint(self) -> Joint:
        joint = self._scene.joint(self._region)
        assert joint is not None
        return joint


class Closing:
    """Makes ``close`` true of a sliding region."""

    def __init__(self, scene: Scene, goal: Goal) -> None:
        """Take the goal: its predicate and the drawer's region."""
        self._scene, self._goal = scene, goal
        self._leaving = False

    @property
    def is_done(self) -> bool:
        """Whether the drawer is closed and the hand has left it."""
        return self._scene.holds(self._goal) and not self._leaving

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene, hand = self._scene, self._scene.hand()
        joint = scene.joint(self._goal[1])
        assert joint is not None
        outward = outward_of(joint)
        bar = handle(scene, joint, outward)
        contact = bar.mean(0)
        standoff = float(((bar - contact) @ outward).max()) + FINGER_M
        if scene.holds(self._goal):
            self._leaving = (hand - contact) @ outward < LEAVE_M
            return motion.toward((outward + UP) * 0.05, CLOSE)
        self._leaving = True
        turned = turned_home(scene.home, outward, CLOSING_TILT, along=False)
        turn = motion.rotation_between(scene.turn(), turned)
        is_turned = bool(np.linalg.norm(turn) < ALIGNED_RAD)
        away = hand - contact
        sideways = away - outward * (away @ outward)
        if is_turned and np.abs(sideways).max() < 2 * ALIGNED_M and away @ outward > 0:
            return motion.toward(-outward * PUSH_M - sideways, CLOSE)
        start = contact + outward * (standoff + FRONT_M)
        if not is_turned or np.linalg.norm((start - hand)[:2]) > 2 * ALIGNED_M:
            start[2] += ABOVE_M
            if hand[2] < start[2] - 0.05:
                return motion.toward(np.array([0, 0, start[2] - hand[2]]), CLOSE, turn)
        return motion.toward(start - hand, CLOSE, turn)


def outward_of(joint: Joint) -> np.ndarray:
    """Return the horizontal direction in which a drawer opens: to the far end of its range, float64 [3]."""
    low, high = joint.limits
    return joint.axis * (1.0 if abs(high) > abs(low) else -1.0)


def handle(scene: Scene, joint: Joint, outward: np.ndarray) -> np.ndarray:
    """Return points on the part of a drawer that sticks out farthest, float64 [n, 3]."""
    parts = scene.parts(joint.body)
    return max(parts, key=lambda part: float((part @ outward).mean()))


def turned_home(home: np.ndarray, outward: np.ndarray, tilt: float, along: bool) -> np.ndarray:
    """Return the hand's orientation in front of a drawer, float64 [3, 3].

    Args:
        home: at home, where it points down.
        outward: the direction in which the drawer opens.
        tilt: of the hand back from the drawer, so that it points down and at it (rad).
        along: whether the fingers close in the drawer's direction, else across.
    """
    wanted = outward[:2] if along else np.array([-outward[1], outward[0]])
    angle = motion.angle_to_close_along(home, wanted)
    axis = np.cross(UP, outward)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    tilted = np.eye(3) + np.sin(tilt) * cross + (1 - np.cos(tilt)) * cross @ cross
    return tilted @ motion.about_z(angle) @ home
