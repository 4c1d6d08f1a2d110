"""Moves a flat thing over the table: the closed fingers press on its middle and take it along."""

import numpy as np

from worldvla.simulation.commands import CLOSE, command
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.scene import Goal, Scene

MAX_HEIGHT_M, MIN_WIDTH_M = 0.025, 0.080  # flat, and too wide for the fingers
AHEAD_OF_MIDDLE_M, MAX_SLIP_M = 0.005, 0.040  # where the fingers press, and how far they may slip ahead
ABOVE_BASE_M = 0.010  # of the finger tips' centre
ALIGNED_M = 0.015
FUNNEL, HOVER_M = 5.0, 0.070  # height per distance sideways, and at most
AHEAD_M = 0.040  # how far ahead the hand aims
PRESS_M = 0.012  # how far below its base the hand aims: a stronger press only holds it down
LEAVE_M = 0.060


def is_pushed(scene: Scene, goal: Goal) -> bool:
    """Return whether a thing is moved over the table: flat, too wide to be taken, for a place on the table."""
    item, place = goal[1:]
    extents = np.ptp(scene.points(scene.body(item)), axis=0)
    on_table = not scene.is_thing(place) and scene.parent(place) is None
    return bool(on_table and extents[2] < MAX_HEIGHT_M and extents[:2].min() > MIN_WIDTH_M)


class Pushing:
    """The skill of a goal ``on`` for a flat thing and a place on the table."""

    def __init__(self, scene: Scene, goal: Goal) -> None:
        """Take the goal: its predicate, the thing and the place."""
        self._scene, self._goal = scene, goal
        _, self._item, self._place = goal
        self._body = scene.body(self._item)

    @property
    def is_done(self) -> bool:
        """Whether the thing is in its place and the hand has left it."""
        scene = self._scene
        top = scene.points(self._body)[:, 2].max()
        return scene.holds(self._goal) and scene.hand()[2] > top + LEAVE_M

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        scene, hand = self._scene, self._scene.hand()
        if scene.holds(self._goal):
            return command((0, 0, 1), CLOSE)
        points = scene.points(self._body)
        middle = (points.max(0) + points.min(0)) / 2
        way = (scene.position(self._place) - scene.position(self._item)) * [1, 1, 0]
        ahead = way / max(float(np.linalg.norm(way)), 1e-9)
        point = middle + ahead * AHEAD_OF_MIDDLE_M
        point[2] = scene.height_at(self._body, middle) + ABOVE_BASE_M
        away = hand - point
        along = away @ ahead
        beside = away - ahead * along
        inside = -2 * ALIGNED_M < along < MAX_SLIP_M and np.abs(beside[:2]).max() < 2 * ALIGNED_M
        if inside and abs(away[2]) < ALIGNED_M:
            return motion.toward(ahead * AHEAD_M - [0, 0, PRESS_M], CLOSE)
        aside = float(np.linalg.norm(away[:2]))
        point[2] += min(HOVER_M, max(0.0, aside - ALIGNED_M) * FUNNEL)
        if aside > 0.06 and point[2] - hand[2] > 0.03:
            return command((0, 0, 1), CLOSE)
        return motion.toward(point - hand, CLOSE)
