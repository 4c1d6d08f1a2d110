"""A scripted expert for LIBERO's tasks: it sees the simulator's state, a policy has to see the same in pictures.

The task's goal is a list of predicates. Each is worked on by a skill, in order; what holds already is left alone.
"""

from typing import Protocol

import numpy as np

from worldvla.simulation.libero import Environment
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.carrying import Carrying
from worldvla.simulation.libero_expert.scene import Goal, Scene
from worldvla.simulation.libero_expert.turning import Turning


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
        self._skills = [skill for goal in self._scene.goals for skill in skills(self._scene, goal)]
        self._current = self._skills[0]

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        if self._current.is_done:
            missing = [skill for skill in self._skills if not skill.is_done]
            if not missing:
                return motion.command((0, 0, 1), motion.OPEN)
            self._current = missing[0]
        return self._current.act()


def skills(scene: Scene, goal: Goal) -> list[Skill]:
    """Return what makes a predicate true.

    Raises:
        ValueError: a predicate without a skill.
    """
    if goal[0] in ("on", "in"):
        return [Carrying(scene, goal)]
    joint = scene.joint(goal[1])
    if joint is not None and not joint.slides:
        return [Turning(scene, goal)]
    raise ValueError(f"the scripted expert has no skill for {' '.join(goal)}")
