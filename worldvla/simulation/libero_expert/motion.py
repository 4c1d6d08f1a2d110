"""Commands that move and turn the hand towards something, and the geometry of turns."""

import numpy as np

from worldvla.simulation.commands import FULL_SCALE_M, FULL_SCALE_RAD, command, quantised

GAIN = 2.0
MIN_TURN_RAD = 0.25  # less is left to the controller, which keeps the last orientation that was asked for
# Of a wait: too small to move anything, but a motion, for the filter drops steps without.
CREEP = 0.01


def toward(error: np.ndarray, gripper: float, turn: np.ndarray | None = None) -> np.ndarray:
    """Return the action that moves by about ``error`` (m) and turns by about ``turn`` (rad, axis times angle)."""
    action = command(np.clip(error / FULL_SCALE_M * GAIN, -1, 1), gripper)
    if turn is not None and np.linalg.norm(turn) > MIN_TURN_RAD:
        action[3:6] = quantised(np.clip(turn / FULL_SCALE_RAD, -1, 1))
    return action if np.abs(action[:6]).any() else wait(gripper)


def wait(gripper: float) -> np.ndarray:
    """Return the action that stays while the fingers move."""
    return np.array([0, 0, CREEP, 0, 0, 0, gripper])


def rotation_between(current: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the rotation from one orientation to another, matrices [3, 3], as axis times angle (rad), float64 [3]."""
    matrix = wanted @ current.T
    axis = 0.5 * np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine, cosine = float(np.linalg.norm(axis)), (float(np.trace(matrix)) - 1) / 2
    if sine < 1e-9:
        return np.zeros(3)
    return axis / sine * np.arctan2(sine, cosine)


def about_z(angle: float) -> np.ndarray:
    """Return the rotation by an angle (rad) about the vertical, float64 [3, 3]."""
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def angle_to_close_along(home: np.ndarray, wanted: np.ndarray) -> float:
    """Return the shortest turn about the vertical (rad) after which the fingers close along a direction.

    Args:
        home: the hand's orientation at home, [3, 3].
        wanted: the direction, float64 [2] or [3].
    """
    closing = home[:2, 0]
    angle = np.arctan2(closing[0] * wanted[1] - closing[1] * wanted[0], closing @ wanted[:2])
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)  # the fingers are alike
