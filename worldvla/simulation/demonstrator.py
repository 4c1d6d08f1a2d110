"""Whoever demonstrates a task: the scripted expert with a person's flaws.

- Bursts: a random motion of two steps, executed and recorded; the expert then corrects what it did. So the states around
  the expert's path are covered, and the labels are clean almost everywhere.
- Hesitations: steps without motion and with an unchanged gripper, which the filter drops.
- Failures: now and then the expert lets go and gives up, which the filter finds out.
"""

import numpy as np

from worldvla.simulation.commands import OPEN, command
from worldvla.simulation.experts import Expert
from worldvla.simulation.libero import DUMMY_ACTION, Environment

BURST_PROBABILITY = 0.015  # per step
BURST_STEPS = 2
MAX_HESITATIONS = 4
HESITATION_PROBABILITY = 0.6  # per step of a calm arm, until all are spent
# Speed of a calm hand and calm fingers: a replay without the hesitation has to arrive where it would have.
CALM_M_S = 0.04
CALM_COMMAND = 0.5
FAILURE_PROBABILITY = 0.04  # per demonstration
NUM_FAILURE_STEPS = 4


class Demonstrator:
    """The expert with a person's flaws; its actions are a function of the generator and the simulator's state."""

    def __init__(self, environment: Environment, expert: Expert, generator: np.random.Generator) -> None:
        """Take an environment that was just restored, and an expert for its task."""
        self._environment, self._expert, self._generator = environment, expert, generator
        self._calm_m = CALM_M_S / environment.robosuite.control_freq  # in a step
        self._last = DUMMY_ACTION
        self._pose = self._current_pose()
        self._hesitations = int(generator.integers(MAX_HESITATIONS + 1))
        self._burst_steps = 0
        self._burst = np.zeros(3)
        gives_up = generator.random() < FAILURE_PROBABILITY
        self._failure_step = int(generator.integers(8, 20)) if gives_up else None
        self._num_steps = 0

    @property
    def has_given_up(self) -> bool:
        """Whether the demonstration ends without success."""
        return self._failure_step is not None and self._num_steps >= self._failure_step + NUM_FAILURE_STEPS

    def act(self) -> np.ndarray:
        """Return the action of the next step, float64 [7]."""
        self._last = self._next()
        self._num_steps += 1
        return self._last

    def _next(self) -> np.ndarray:
        pose = self._current_pose()
        calm = bool(np.abs(pose - self._pose).max() < self._calm_m and np.abs(self._last[:3]).max() <= CALM_COMMAND)
        self._pose = pose
        if self._failure_step is not None and self._num_steps >= self._failure_step:
            return command((0, 0, 1), OPEN)
        if calm and self._hesitations and self._generator.random() < HESITATION_PROBABILITY:
            self._hesitations -= 1
            return command((0, 0, 0), self._last[6])
        action = self._expert.act()
        if not self._burst_steps and self._generator.random() < BURST_PROBABILITY:
            self._burst_steps = BURST_STEPS
            self._burst = self._generator.uniform(-1, 1, 3)
        if self._burst_steps:
            self._burst_steps -= 1
            return command(self._burst, action[6])
        return action

    def _current_pose(self) -> np.ndarray:
        """The hand's position and the fingers' (m)."""
        proprioception = self._environment.proprioception()
        return np.concatenate([proprioception["ee_pos"], proprioception["gripper_states"]])
