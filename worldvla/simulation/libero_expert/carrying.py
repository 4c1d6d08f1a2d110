"""Picks a thing up and puts it where it belongs."""

import numpy as np

from worldvla.simulation.commands import CLOSE, OPEN, command
from worldvla.simulation.libero_expert import grasps, motion
from worldvla.simulation.libero_expert.drawers import outward_of
from worldvla.simulation.libero_expert.fingers import Fingers
from worldvla.simulation.libero_expert.scene import Goal, Scene

ALIGNED_M = 0.008  # sideways, before the fingers come down around a thing
ALIGNED_RAD = 0.20
DEEP_M = 0.008  # above the grasp's height: deep enough to close
HOVER_M = 0.070
FUNNEL = 6.0  # height over the grasp per distance sideways
CLEARANCE_M = 0.030  # of what is carried, over what is on its way
HAND_RADIUS_M = 0.07
HELD_M = 0.045  # of a held thing's grasp from the hand
HELD_GAP_M = 0.002
STUCK_M, STUCK_STEPS = 0.002, 10  # a step's way of a hand that is stuck, and for how long
NEAR_M, MAX_NEAR_STEPS = 0.05, 40  # sideways from a thing, and how long it may take to get around it
RETREAT_M = 0.12  # above the thing
OVER_M = 0.015
OUT_OF_CABINET_M = 0.015
NARROW_M = 0.035  # half the width of a place that things fit into in one way
BETWEEN_M = 0.010  # things side by side
LEAVE_M = 0.040  # above a thing that was let go


class Carrying:
    """The skill of a goal ``on`` or ``in``: a thing goes onto another one or into a region."""

    def __init__(self, scene: Scene, goal: Goal) -> None:
        """Take the goal: its predicate, the thing and the place."""
        self._scene, self._goal = scene, goal
        _, self._item, self._place = goal
        self._body = scene.body(self._item)
        self._grasp: grasps.Grasp | None = None
        self._misses = 0
        self._fingers = Fingers(scene)
        self._hold, self._yaw = np.zeros(3), 0.0
        self._leaving = False
        self._last_hand, self._idle = np.zeros(3), 0
        self._near_steps, self._retreating = 0, False

    @property
    def is_done(self) -> bool:
        """Whether the thing is in its place and the hand has left it."""
        return self._scene.holds(self._goal) and not self._fingers.hold and not self._is_around()

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene = self._scene
        hand = scene.hand()
        if self._fingers.hold:
            if self._fingers.are_closing():
                return motion.toward(self._hold - hand, CLOSE)
            held = np.abs(hand - self._point()).max() < HELD_M and scene.gap() > HELD_GAP_M
            if held:
                self._near_steps = 0
                return self._carry()
            self._misses += 1
            self._fingers.release()
            self._grasp = None
        if self._leaving:
            self._leaving = self._is_around()
            if self._leaving:
                return self._leave()
        return self._reach(hand)

    def _is_stuck(self, hand: np.ndarray) -> bool:
        """Whether the hand does not get around the thing: it does not move, or takes too long."""
        self._idle = self._idle + 1 if np.abs(hand - self._last_hand).max() < STUCK_M else 0
        near = np.linalg.norm((hand - self._point())[:2]) < NEAR_M
        self._near_steps = self._near_steps + 1 if near else 0
        self._last_hand = hand
        return self._idle > STUCK_STEPS or self._near_steps > MAX_NEAR_STEPS

    def _retreat(self, hand: np.ndarray) -> np.ndarray | None:
        """Return the way up after the hand was stuck; None when it is free."""
        if not self._retreating:
            return None
        self._retreating = hand[2] < self._scene.points(self._body)[:, 2].max() + RETREAT_M
        return command((0, 0, 1), OPEN)

    def _reach(self, hand: np.ndarray) -> np.ndarray:
        """Approach over a funnel, so that the fingers come from above."""
        scene = self._scene
        up = self._retreat(hand)
        if up is not None:
            return up
        if self._grasp is None:
            found = grasps.candidates(scene, self._item, self._target())
            if not found:  # it lies where the fingers find no place: nothing to do but to stay clear
                return command((0, 0, 1), OPEN)
            self._grasp = found[self._misses % min(3, len(found))]
        elif self._is_stuck(hand):
            self._misses += 1
            self._grasp, self._idle, self._near_steps, self._retreating = None, 0, 0, True
            return command((0, 0, 1), OPEN)
        point = self._point()
        turn = self._turn()
        away = float(np.linalg.norm((hand - point)[:2]))
        if away < ALIGNED_M and np.linalg.norm(turn) < ALIGNED_RAD:
            if hand[2] < point[2] + DEEP_M:
                self._fingers.close()
                self._hold, self._yaw = hand, self._grasp.yaw
                return motion.wait(CLOSE)
            return motion.toward(point - hand, OPEN, turn)
        hover = point[2] + min(HOVER_M, max(0.0, away - ALIGNED_M) * FUNNEL)
        if away > 0.05:
            hover = max(hover, top_between(scene.obstacles(self._body), hand, point, HAND_RADIUS_M) + CLEARANCE_M)
        rise = hover - hand[2]
        if away > 0.05 and rise > 0.05:
            return motion.toward(np.array([0, 0, rise]), OPEN, turn)
        return motion.toward(np.append((point - hand)[:2], rise), OPEN, turn)

    def _carry(self) -> np.ndarray:
        scene = self._scene
        item = scene.points(self._body)
        low = item[:, 2].min()
        way = self._way()
        turn = self._placing_turn()
        if np.abs(way).max() < OVER_M and (turn is None or np.linalg.norm(turn) < ALIGNED_RAD):
            drop = low - self._floor()
            if drop < 0.01 or (drop < 0.05 and scene.touches(self._body)) or scene.holds(self._goal):
                self._fingers.release()
                self._grasp, self._leaving = None, True
                return motion.wait(OPEN)
            return motion.toward(np.append(way, -max(drop, 0.01)), CLOSE)
        radius = float(np.linalg.norm((item - scene.position(self._item))[:, :2], axis=1).max()) + 0.01
        here = scene.position(self._item)
        top = top_between(scene.obstacles(self._body), here, here + np.append(way, 0), radius)
        lift = max(top, self._floor()) + CLEARANCE_M - low
        if lift > 0.03:
            return command((0, 0, 1), CLOSE)
        return motion.toward(np.append(way, lift), CLOSE, turn)

    def _leave(self) -> np.ndarray:
        """Let go, then rise."""
        if self._scene.gap() < 0.07 and self._scene.is_gripped(self._body):
            return motion.wait(OPEN)
        return command((0, 0, 1), OPEN)

    def _is_around(self) -> bool:
        """Whether the fingers are still around the thing."""
        scene = self._scene
        item = scene.points(self._body)
        low, high = item.min(0), item.max(0)
        hand = scene.hand()
        beside = np.maximum(low - hand, hand - high)[:2].max()
        return bool(beside < 0.03 and hand[2] < high[2] + LEAVE_M)

    def _way(self) -> np.ndarray:
        """The horizontal way of the thing to its place, float64 [2]; several on one region stand side by side."""
        scene = self._scene
        place = scene.position(self._place)[:2]
        joint = None if scene.is_thing(self._place) else scene.joint(self._place)
        if joint is not None:  # of a drawer: away from the cabinet
            place = place + outward_of(joint)[:2] * OUT_OF_CABINET_M
        rivals = [goal[1] for goal in scene.goals if goal[0] == "on" and goal[2:] == (self._place,)]
        if len(rivals) > 1:
            item = scene.points(self._body)
            number = rivals.index(self._item) - (len(rivals) - 1) / 2
            place[0] += number * (item[:, 0].max() - item[:, 0].min() + BETWEEN_M)
        return place - scene.position(self._item)[:2]

    def _floor(self) -> float:
        """The height of what the thing is put on."""
        scene, place = self._scene, self._place
        if scene.is_thing(place):
            return float(scene.points(scene.body(place))[:, 2].max())
        joint, parent = scene.joint(place), scene.parent(place)
        if joint is not None:
            return float(scene.points(joint.body)[:, 2].max())
        if self._goal[0] == "in" and parent is not None:
            return float(scene.points(scene.body(parent))[:, 2].max())
        return float(scene.position(place)[2] + scene.region_size(place)[2])

    def _placing_turn(self) -> np.ndarray | None:
        """The rotation that the hand needs for a narrow place: between the fingers is the thing's narrow side."""
        scene = self._scene
        if self._goal[0] != "in" or scene.is_thing(self._place) or scene.joint(self._place) is not None:
            return None
        size = scene.region_size(self._place)[:2]
        if size.min() > NARROW_M:
            return None
        yaw = np.copysign(np.pi / 2 if size[0] < size[1] else 0.0, self._yaw)  # the fingers are alike: the shorter turn
        return motion.rotation_between(scene.turn(), motion.about_z(yaw) @ scene.home)

    def _target(self) -> np.ndarray:
        """Where the thing's body is when it is let go."""
        scene = self._scene
        here = scene.position(self._item)
        height = here[2] - scene.points(self._body)[:, 2].min()
        return np.append(here[:2] + self._way(), self._floor() + height)

    def _point(self) -> np.ndarray:
        """Where the hand takes the thing."""
        assert self._grasp is not None
        return self._scene.position(self._item) + self._grasp.offset

    def _turn(self) -> np.ndarray:
        """The rotation that the hand still needs for the grasp."""
        assert self._grasp is not None
        return motion.rotation_between(self._scene.turn(), motion.about_z(self._grasp.yaw) @ self._scene.home)


def top_between(points: np.ndarray, start: np.ndarray, stop: np.ndarray, radius: float) -> float:
    """Return the height of the highest point less than ``radius`` from the straight way between two places (m)."""
    way = (stop - start)[:2]
    length = float(way @ way)
    from_start = points[:, :2] - start[:2]
    share = np.clip(from_start @ way / length, 0, 1) if length > 0 else np.zeros(len(points))
    near = np.linalg.norm(from_start - share[:, None] * way, axis=1) < radius
    return float(points[near, 2].max()) if near.any() else -np.inf
