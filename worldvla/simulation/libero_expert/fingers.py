"""Closes the fingers and waits until they press: what a skill has to remember of them."""

import numpy as np

from worldvla.simulation.libero_expert.scene import Scene

MIN_STEPS = 7  # until they press with full force
STILL_M = 0.001  # their way in a step, once they have closed


class Fingers:
    """Whether the fingers are open, closing or closed, as commanded."""

    def __init__(self, scene: Scene) -> None:
        """Take the scene; the fingers are open."""
        self._scene = scene
        self.release()

    @property
    def hold(self) -> bool:
        """Whether the fingers were told to close."""
        return self._steps > 0

    def close(self) -> None:
        """Start to close."""
        self._steps, self._gap, self._are_closed = 1, np.inf, False

    def release(self) -> None:
        """Open."""
        self._steps, self._gap, self._are_closed = 0, np.inf, False

    def are_closing(self) -> bool:
        """Return whether the fingers still move; to be asked once per step."""
        last, self._gap = self._gap, self._scene.gap()
        self._steps += 1
        self._are_closed |= self._steps > MIN_STEPS and last - self._gap < STILL_M
        return not self._are_closed
