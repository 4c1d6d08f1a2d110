"""A scripted expert for LIBERO's tasks: it sees the simulator's state, a policy has to see the same in pictures.

The task's goal is a list of predicates. Each is worked on by a skill, in order; what holds already is left alone.
"""

import numpy as np

from worldvla.simulation.libero import Environment
from worldvla.simulation.libero_expert import motion
from worldvla.simulation.libero_expert.carrying import Carrying
from worldvla.simulation.libero_expert.scene import Scene


class LiberoExpert:
    """Works on the unfinished predicates of a task's goal, one after the other, and starts again after a miss."""

    def __init__(self, environment: Environment) -> None:
        """Take an environment that was just reset."""
        self._scene = Scene(environment)
        self._skills = [Carrying(self._scene, goal) for goal in self._scene.goals if len(goal) == 3]
        self._current = self._skills[0]

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        if self._current.is_done:
            missing = [skill for skill in self._skills if not skill.is_done]
            if not missing:
                return motion.command((0, 0, 1), motion.OPEN)
            self._current = missing[0]
        return self._current.act()
