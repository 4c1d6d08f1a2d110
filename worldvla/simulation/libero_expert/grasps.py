"""Where to take a thing: between the fingers if it is narrow enough, else by its rim."""

from dataclasses import dataclass

import numpy as np

from worldvla.simulation.libero_expert.scene import Scene

MAX_WIDTH_M = 0.072  # the fingers open to 8 cm
BELOW_TOP_M = 0.020  # the finger tips' centre under the thing's top
ABOVE_FOOT_M = 0.008  # lower, the finger tips would touch what it stands on
BANDS_M = (0.030, 0.015)  # below the top: what the fingers see of it
# From a rim's outer edge to the hand: the middle of the wall, or more where the outer finger has no room; it then draws
# the thing to the hand.
WALLS_M = (0.003, 0.014, 0.022)
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


def candidates(scene: Scene, name: str, target: np.ndarray) -> list[Grasp]:
    """Return the possible grasps of a thing, best first.

    Args:
        scene: the scene.
        name: the thing.
        target: where its body is let go, float64 [3]: there has to be room for the hand, too.
    """
    body = scene.body(name)
    item, position, obstacles = scene.points(body), scene.position(name), scene.obstacles(body)
    top = item[:, 2].max()
    found = []
    for yaw in YAWS:
        closing = np.array([-np.sin(yaw), np.cos(yaw)])  # the fingers close along y at home
        across = np.array([np.cos(yaw), np.sin(yaw)])
        for centre, shift, height, extra in [
            *_middles(item, closing, across),
            *_rims(scene, body, item, closing, across),
        ]:
            point = np.append(closing * centre + across * shift, height)
            around = np.concatenate([obstacles, item]) if top - height < BELOW_TOP_M else obstacles
            cost = blocked(point, closing, across, around) + extra + YAW_COST * abs(yaw)
            cost += blocked(point - position + target, closing, across, obstacles)
            found.append(Grasp(point - position, float(yaw), cost))
    return sorted(found, key=lambda grasp: grasp.cost)


Choice = tuple[float, float, float, float]  # along the closing axis, across, up (m, world frame), cost


def _middles(item: np.ndarray, closing: np.ndarray, across: np.ndarray) -> list[Choice]:
    """Return the grasps with the thing between the fingers; of a wide thing by what sticks out on top, as a knob."""
    top, foot = item[:, 2].max(), item[:, 2].min()
    for depth in BANDS_M:
        band = item[item[:, 2] > top - depth]
        along, side = band[:, :2] @ closing, band[:, :2] @ across
        if along.max() - along.min() < MAX_WIDTH_M:
            height = max(top - min(BELOW_TOP_M, 0.6 * depth), foot + ABOVE_FOOT_M)
            half = (side.max() - side.min()) / 2
            slack = max(0.0, min(MAX_SHIFT_M, half - FINGER_M))
            centre, middle = (along.max() + along.min()) / 2, (side.max() + side.min()) / 2
            shifts = (0.0, 0.5, -0.5, 1.0, -1.0) if slack > 0 else (0.0,)
            return [(centre, middle + shift * slack, height, SHIFT_COST * abs(shift)) for shift in shifts]
    return []


def _rims(scene: Scene, body: int, item: np.ndarray, closing: np.ndarray, across: np.ndarray) -> list[Choice]:
    """Return the grasps of a hollow thing with its wall between the fingers."""
    top, foot = item[:, 2].max(), item[:, 2].min()
    band = item[item[:, 2] > top - BANDS_M[0]]
    along, side = band[:, :2] @ closing, band[:, :2] @ across
    centre, middle = (along.max() + along.min()) / 2, (side.max() + side.min()) / 2
    near = along[np.abs(side - middle) < FINGER_M]
    found = []
    for sign in (1.0, -1.0):
        reach = (sign * (near - centre)).max() if len(near) else 0.0
        inside = closing * (centre + sign * (reach - INSIDE_M)) + across * middle
        if reach > INSIDE_M and scene.height_at(body, inside) < top - HOLLOW_M:
            height = max(top - BELOW_TOP_M, foot + ABOVE_FOOT_M)
            found += [
                (centre + sign * (reach - wall), middle, height, RIM_COST * (1 + number))
                for number, wall in enumerate(WALLS_M)
            ]
    return found


def blocked(point: np.ndarray, closing: np.ndarray, across: np.ndarray, obstacles: np.ndarray) -> float:
    """Return how many points of obstacles are in the way of the open fingers and the hand above them."""
    away = obstacles - point
    along, side, up = np.abs(away[:, :2] @ closing), np.abs(away[:, :2] @ across), away[:, 2]
    fingers = (np.abs(along - 0.050) < 0.016) & (side < 0.014) & (up > -0.012)
    hand = (along < 0.105) & (side < 0.033) & (up > 0.033)
    return float(5 * min(fingers.sum(), 4) + 0.2 * min(hand.sum(), 10))  # the hand pushes light things aside
