"""A scripted expert for LIBERO's tasks: it sees the simulator's state, a policy has to see the same in pictures.

The task's goal is a list of predicates. Each is worked on by a skill, in order; what holds already is left alone.
"""

from typing import Protocol

import numpy as np

from worldvla.simulation.commands import OPEN, command
from worldvla.simulation.libero import Environment
from worldvla.simulation.libero_expert.carrying import Carrying
from worldvla.simulation.libero_expert.doors import Swinging
from worldvla.simulation.libero_expert.drawers import Closing, Opening
from worldvla.simulation.libero_expert.knobs import Twisting
from worldvla.simulation.libero_expert.pushing import Pushing, is_pushed
from worldvla.simulation.libero_expert.scene import Goal, Scene


class Skill(Protocol):
    """What makes one predicate true."""

    @property
    def is_done(self) -> bool:
        """Whether the predicate holds and the hand is free."""
        ...

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        ...


class LiberoExpert:
    """Works on the unfinished predicates of a task's goal, one after the other, and starts again after a miss."""

    def __init__(self, environment: Environment) -> None:
        """Take an environment that was just reset."""
        self._scene = Scene(environment)
        self._skills = skills(self._scene)
        self._current = self._skills[0]

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        if self._current.is_done:
            missing = [skill for skill in self._skills if not skill.is_done]
            if not missing:
                return command((0, 0, 1), OPEN)
            self._current = missing[0]
        return self._current.act()


def skills(scene: Scene) -> list[Skill]:
    """Return what makes the goal true, in order: what is closed is closed at the end, what is filled is opened before.

    Raises:
        ValueError: a predicate without a skill.
    """
    found: list[Skill] = []
    for goal in sorted(scene.goals, key=lambda goal: goal[0] == "close"):
        if goal[0] == "in" and not scene.is_thing(goal[2]) and scene.joint(goal[2]) is not None:
            found.append(Opening(scene, goal[2], until=goal))
        found.append(_skill(scene, goal))
    return found


def _skill(scene: Scene, goal: Goal) -> Skill:
    if goal[0] in ("on", "in"):
        return Pushing(scene, goal) if is_pushed(scene, goal) else Carrying(scene, goal)
    joint = scene.joint(goal[1])
    if joint is not None:
        if goal[0] == "turnon":
            return Twisting(scene, goal)
        if goal[0] == "open" and joint.slides:
            return Opening(scene, goal[1])
        if goal[0] == "close":
            return Closing(scene, goal) if joint.slides else Swinging(scene, goal)
    raise ValueError(f"the scripted expert has no skill for '{' '.join(goal)}'")
