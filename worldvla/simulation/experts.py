"""The scripted expert of a benchmark, and where its demonstrations start."""

from typing import Protocol

import numpy as np

from worldvla.simulation.expert import Expert as MiniExpert
from worldvla.simulation.libero import Environment
from worldvla.simulation.libero_expert.expert import LiberoExpert
from worldvla.simulation.libero_expert.starts import draw_start as draw_libero_start
from worldvla.simulation.mini.starts import draw_start as draw_mini_start

SPREAD = 2.0  # of the arm, so that the states around the expert's paths are covered by clean labels


class Expert(Protocol):
    """What chooses a demonstration's actions by the simulator's state."""

    def act(self) -> np.ndarray:
        """Return the next action, float64 [7]."""
        ...


def expert(environment: Environment) -> Expert:
    """Return an expert for the task of an environment that was just restored."""
    return MiniExpert(environment) if environment.task.benchmark == "mini" else LiberoExpert(environment)


def draw_start(environment: Environment, seed: list[int]) -> np.ndarray:
    """Return a state at rest, float64 [n], that a demonstration may start from; a function of the seed and the task."""
    if environment.task.benchmark == "mini":
        return draw_mini_start(environment, environment.task.suite, seed, SPREAD)
    return draw_libero_start(environment, seed, SPREAD)
