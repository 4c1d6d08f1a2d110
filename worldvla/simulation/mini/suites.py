"""The embedded benchmark as data: what stands on the table, where, and what is asked.

A suite is one scene and its tasks. Lengths are metres in LIBERO's table frame: x away from the robot (towards the
camera), y to the robot's left, z up from the table top.

Everything here serves one aim: a policy of about a million parameters that sees nothing but the agentview can learn the
suite in minutes on a CPU, by honest means. Items are wide at the foot, so that they are large on screen and do not
topple, and have a handle that is slim in the gripper's closing axis (y) and deep in the other (x): a grasp forgives
2.5 cm in any direction.
"""

from dataclasses import dataclass

NUM_INIT_STATES = 50
INIT_STATE_SEED = 20_250_626  # of the fixed initial states; demonstrations draw theirs from other streams

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One box of an object."""

    position: Vector  # centre in the object's frame, whose origin is on the table
    half_size: Vector
    colour: Colour
    foot: bool = False  # heavy and slippery: pushed, it slides rather than tips over; dropped, it lands upright


@dataclass(frozen=True)
class Thing:
    """An object of the scene, with the region where it is placed."""

    name: str  # "can" is the BDDL object mini_can_1 of the category mini_can
    parts: tuple[Part, ...]
    centre: tuple[float, float]
    jitter: tuple[float, float]  # half-ranges of the position's uniform distribution
    yaw: float = 0.1  # rad, half-range
    region: tuple[Vector, Vector] | None = None  # centre and half size of LIBERO's contain_region, for containers

    @property
    def category(self) -> str:
        """The BDDL category."""
        return f"mini_{self.name}"

    @property
    def instance(self) -> str:
        """The BDDL object."""
        return f"mini_{self.name}_1"

    @property
    def top(self) -> float:
        """Height of the highest part's upper face (m)."""
        return max(part.position[2] + part.half_size[2] for part in self.parts)


@dataclass(frozen=True)
class Goal:
    """A task: the item has to end in the container."""

    item: str
    container: str

    @property
    def language(self) -> str:
        """The instruction."""
        return f"put the {self.item} in the {self.container}"

    @property
    def name(self) -> str:
        """The task's name, as in LIBERO: the instruction with underscores."""
        return self.language.replace(" ", "_")


@dataclass(frozen=True)
class MiniSuite:
    """A scene and its tasks."""

    name: str
    things: tuple[Thing, ...]
    goals: tuple[Goal, ...]
    start: Vector  # where the gripper's centre starts
    start_jitter: Vector  # half-ranges

    def thing(self, name: str) -> Thing:
        """Return the thing of this name."""
        return next(thing for thing in self.things if thing.name == name)


def _item(name: str, colour: Colour, centre: tuple[float, float]) -> Thing:
    """A foot with a handle on top."""
    dark = (colour[0] * 0.55, colour[1] * 0.55, colour[2] * 0.55)
    foot = Part((0, 0, 0.020), (0.032, 0.027, 0.020), dark, foot=True)
    handle = Part((0, 0, 0.070), (0.032, 0.011, 0.030), colour)
    return Thing(name, (foot, handle), centre, jitter=(0.03, 0.04))


def _container(name: str, colour: Colour, wall: float, centre: tuple[float, float]) -> Thing:
    """An open box with walls of the given height."""
    side, thickness = 0.09, 0.005
    floor = Part((0, 0, thickness), (side, side, thickness), (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6))
    walls = [
        # Only the floor touches the table: every box that does costs four contacts.
        Part((x * side, y * side, (wall + thickness) / 2), (sx, sy, (wall - thickness) / 2), colour)
        for x, y, sx, sy in (
            (1, 0, thickness, side),
            (-1, 0, thickness, side),
            (0, 1, side, thickness),
            (0, -1, side, thickness),
        )
    ]
    region = ((0.0, 0.0, 0.015), (side - 0.004, side - 0.004, 0.03))
    return Thing(name, (floor, *walls), centre, jitter=(0.02, 0.02), region=region)


GOAL = MiniSuite(
    name="goal",
    things=(
        _item("can", (0.95, 0.08, 0.06), (0.02, -0.085)),
        _item("milk", (0.08, 0.30, 1.0), (0.02, 0.085)),
        _container("basket", (0.50, 0.27, 0.08), 0.045, (-0.17, 0.135)),
        _container("tray", (0.10, 0.62, 0.25), 0.016, (-0.17, -0.135)),
    ),
    goals=(Goal("can", "basket"), Goal("can", "tray"), Goal("milk", "basket"), Goal("milk", "tray")),
    start=(-0.06, 0.0, 0.17),
    start_jitter=(0.04, 0.05, 0.02),
)

SUITES = {suite.name: suite for suite in (GOAL,)}
