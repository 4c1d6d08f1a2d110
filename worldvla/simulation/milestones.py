"""How far an episode comes, whether it succeeds or not: what the hand does with the things that the goal wants elsewhere."""

from typing import Any, NamedTuple

import numpy as np

LIFTED_M = 0.02  # above where it stood when the episode began
LEFT, RIGHT, ELSEWHERE = 1, 2, 3  # of the gripper: two pads, all else; 0: no part of it


class Milestones(NamedTuple):
    """Of the things that the goal wants on or in another one, how many were ever touched, grasped and lifted."""

    things: int = 0  # none where the goal is about a drawer, a door or a knob
    touched: int = 0  # by any part of the gripper
    grasped: int = 0  # by the pads of both fingers at once, as robosuite defines it (`_check_grasp`)
    lifted: int = 0  # while grasped, by 2 cm


class Watch:
    """Looks after every step of an episode which of the goal's things the gripper touches, and how high they are."""

    def __init__(self, robosuite: Any) -> None:
        """Take a robosuite environment that rests at an episode's beginning."""
        model, self._data = robosuite.sim.model._model, robosuite.sim.data._data
        wanted = {goal[1] for goal in robosuite.parsed_problem["goal_state"] if goal[0] in ("on", "in")}
        names = sorted(wanted & robosuite.objects_dict.keys())
        self._bodies = [robosuite.obj_body_id[name] for name in names]
        roots = model.body_rootid[model.geom_bodyid]
        self._thing = np.full(model.ngeom, -1)  # by geom, which of the things it is of
        for place, body in enumerate(self._bodies):
            self._thing[roots == model.body_rootid[body]] = place
        gripper = robosuite.robots[0].gripper
        fingers = gripper.important_geoms
        self._part = np.zeros(model.ngeom, int)  # by geom
        for part, geoms in (
            (ELSEWHERE, gripper.contact_geoms),
            (LEFT, fingers["left_fingerpad"]),
            (RIGHT, fingers["right_fingerpad"]),
        ):
            self._part[[model.geom(geom).id for geom in geoms]] = part
        self._stood = self._heights()
        self._reached = np.zeros((3, len(names)), bool)  # touched, grasped, lifted

    def look(self) -> None:
        """Take note of the simulator's current state."""
        pairs = self._data.contact.geom
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        things, parts = self._thing[pairs[:, 0]], self._part[pairs[:, 1]]
        met = (things >= 0) & (parts > 0)
        if not met.any():
            return
        touches = np.zeros((len(self._bodies), 4), bool)
        touches[things[met], parts[met]] = True
        grasped = touches[:, LEFT] & touches[:, RIGHT]
        lifted = grasped & (self._heights() > self._stood + LIFTED_M)
        self._reached |= np.stack([touches.any(axis=1), grasped, lifted])

    def milestones(self) -> Milestones:
        """Return what was reached since the episode began."""
        return Milestones(len(self._bodies), *map(int, self._reached.sum(axis=1)))

    def _heights(self) -> np.ndarray:
        return self._data.xpos[self._bodies, 2].copy()
