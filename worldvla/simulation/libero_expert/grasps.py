"""Where to take a thing: between the fingers if it is narrow enough, else by its rim."""

from dataclasses import dataclass

import numpy as np

from worldvla.simulation.libero_expert.scene import Scene

MAX_WIDTH_M = 0.072  # the fingers open to 8 cm
BELOW_TOP_M = 0.020  # the finger tips' centre under the thing's top
ABOVE_FOOT_M = 0.008  # lower, the finger tips would touch what it stands on
BAND_M = 0.030  # below the top: what the fingers see of it
WALL_M = 0.003  # from a rim's outer edge to the middle of its wall
INSIDE_M, HOLLOW_M = 0.018, 0.020  # a rim has at least that depth that far inside: room for a finger

YAWS = np.deg2rad([0, 90, 45, -45])  # of the hand against home
YAW_COST, RIM_COST, SHIFT_COST = 3.0, 1.0, 0.5  # in points of an obstacle
FINGER_M, MAX_SHIFT_M = 0.012, 0.025  # half a finger's width; how far from a thing's middle it is taken


@dataclass(frozen=True)
class Grasp:
    """A grasp in the item's own frame, so that it moves with the item."""

    offset: np.ndarray  # from the item's body, world axes at planning, float64 [3]
    yaw: float  # of the hand against home (rad)
    cost: float


def candidates(scene: Scene, name: str) -> list[Grasp]:
    """Return the possible grasps of a thing, best first."""
    body = scene.body(name)
    item, position, obstacles = scene.points(body), scene.position(name), scene.obstacles(body)
    top, foot = item[:, 2].max(), item[:, 2].min()
    height = max(top - BELOW_TOP_M, foot + ABOVE_FOOT_M)
    band = item[item[:, 2] > top - BAND_M]
    found = []
    for yaw in YAWS:
        closing = np.array([-np.sin(yaw), np.cos(yaw)])  # the fingers close along y at home
        across = np.array([np.cos(yaw), np.sin(yaw)])
        along = band[:, :2] @ closing
        side = band[:, :2] @ across
        middle = np.array([(along.max() + along.min()) / 2, (side.max() + side.min()) / 2])
        centres = []
        if along.max() - along.min() < MAX_WIDTH_M:
            half = (side.max() - side.min()) / 2
            slack = max(0.0, min(MAX_SHIFT_M, half - FINGER_M))
            centres += [(middle[0], shift * slack, SHIFT_COST * abs(shift)) for shift in (0.0, 0.5, -0.5, 1.0, -1.0)]
        near = along[np.abs(side - middle[1]) < 0.012]
        for sign in (1.0, -1.0):
            reach = (sign * (near - middle[0])).max() if len(near) else 0.0
            inside = closing * (middle[0] + sign * (reach - INSIDE_M)) + across * middle[1]
            if reach > INSIDE_M and scene.height_at(body, inside) < top - HOLLOW_M:
                centres.append((middle[0] + sign * (reach - WALL_M), 0.0, RIM_COST))
        for centre, shift, extra in centres:
            point = np.append(closing * centre + across * (middle[1] + shift), height)
            cost = blocked(point, closing, across, obstacles) + extra + YAW_COST * abs(yaw)
            found.append(Grasp(point - position, float(yaw), cost))
    return sorted(found, key=lambda grasp: grasp.cost)


def blocked(point: np.ndarray, closing: np.ndarray, across: np.ndarray, obstacles: np.ndarray) -> float:
    """Return how many points of obstacles are in the way of the open fingers and the hand above them."""
    away = obstacles - point
    along, side, up = np.abs(away[:, :2] @ closing), np.abs(away[:, :2] @ across), away[:, 2]
    fingers = (np.abs(along - 0.050) < 0.016) & (side < 0.014) & (up > -0.012)
    hand = (along < 0.105) & (side < 0.033) & (up > 0.033)
    return float(min(fingers.sum(), 20) + 0.2 * min(hand.sum(), 10))  # the hand pushes light things aside
