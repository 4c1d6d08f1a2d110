"""Commands of the hand: multiples of a quarter of full scale, like a person's on a coarse joystick."""

import numpy as np

FULL_SCALE_M, FULL_SCALE_RAD = 0.05, 0.5  # what a command of 1 asks of OSC_POSE
QUANTUM = 0.25

OPEN, CLOSE = -1.0, 1.0  # of the gripper


def command(translation: np.ndarray | tuple[float, float, float], gripper: float) -> np.ndarray:
    """Return an action of a quantised translation, no rotation, and the gripper's command, float64 [7]."""
    return np.concatenate([quantised(translation), np.zeros(3), [gripper]])


def quantised(values: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """Return commands, float64 [3], rounded to quarters."""
    return np.round(np.asarray(values, dtype=np.float64) / QUANTUM) * QUANTUM + 0.0
