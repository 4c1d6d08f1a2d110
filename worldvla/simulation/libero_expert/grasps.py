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
RIM_SHIFTS_M = (0.0, 0.02, -0.02)  # across the closing axis
INSIDE_M, HOLLOW_M = 0.018, 0.020  # a rim has at least that depth that far inside: room for a finger

YAWS = np.deg2rad([0, 90, 45, -45])  # of the hand against home
FINE_YAWS = np.deg2rad(np.arange(-85, 90, 5))
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
    item, position, loose, fixed = scene.points(body), scene.position(name), scene.loose(body), scene.fixed()
    top = item[:, 2].max()
    found = []
    for yaw in _yaws(item):
        closing = np.array([-np.sin(yaw), np.cos(yaw)])  # the fingers close along y at home
        across = np.array([np.cos(yaw), np.sin(yaw)])
        for centre, shift, height, extra in [
            *_middles(item, closing, across),
            *_rims(scene, body, item, closing, across),
        ]:
            point = np.append(closing * centre + across * shift, height)
            around = np.concatenate([loose, item]) if top - height < BELOW_TOP_M else loose
            cost = blocked(point, closing, across, around, fixed) + extra + YAW_COST * abs(yaw)
            cost += blocked(point - position + target, closing, across, loose, fixed)
            found.append(Grasp(point - position, float(yaw), cost))
    return sorted(found, key=lambda grasp: grasp.cost)


def _yaws(item: np.ndarray) -> np.ndarray:
    """Return the turns of the hand to try: for what is narrow in none of the usual ones, as a book, its narrowest."""
    for yaws in (YAWS, FINE_YAWS):
        widths = [float(np.ptp(item[:, :2] @ [-np.sin(yaw), np.cos(yaw)])) for yaw in yaws]
        if min(widths) < MAX_WIDTH_M:
            break
    else:
        return YAWS
    return YAWS if yaws is YAWS else yaws[[int(np.argmin(widths))]]


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
    height = max(top - BELOW_TOP_M, foot + ABOVE_FOOT_M)
    found = []
    for shift in RIM_SHIFTS_M:
        place = middle + shift
        near = along[np.abs(side - place) < FINGER_M]
        for sign in (1.0, -1.0):
            reach = (sign * (near - centre)).max() if len(near) else 0.0
            inside = closing * (centre + sign * (reach - INSIDE_M)) + across * place
            if reach > INSIDE_M and scene.height_at(body, inside) < top - HOLLOW_M:
                found += [
                    (centre + sign * (reach - wall), place, height, RIM_COST * (1 + number) + SHIFT_COST * bool(shift))
                    for number, wall in enumerate(WALLS_M)
                ]
    return found


def blocked(point: np.ndarray, closing: np.ndarray, across: np.ndarray, loose: np.ndarray, fixed: np.ndarray) -> float:
    """Return how much is in the way of the open fingers and of the hand above them, which pushes loose things aside."""
    fingers_loose, hand_loose = _inside(loose - point, closing, across)
    fingers_fixed, hand_fixed = _inside(fixed - point, closing, across)
    return 5.0 * min(fingers_loose + fingers_fixed, 4) + 0.2 * min(hand_loose, 10) + 3.0 * min(hand_fixed, 10)


def _inside(away: np.ndarray, closing: np.ndarray, across: np.ndarray) -> tuple[int, int]:
    """Return how many points are where the open fingers and where the hand would be."""
    along, side, up = np.abs(away[:, :2] @ closing), np.abs(away[:, :2] @ across), away[:, 2]
    fingers = (np.abs(along - 0.050) < 0.016) & (side < 0.014) & (up > -0.012)
    hand = (along < 0.105) & (side < 0.036) & (up > 0.033)
    return int(fingers.sum()), int(hand.sum())
