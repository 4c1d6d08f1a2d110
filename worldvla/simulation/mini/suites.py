"""The embedded benchmark as data: what stands on the table, where, and what is asked.

A suite is one scene and its tasks, so that nothing but the instruction tells them apart. As in LIBERO, the tasks of
`spatial` differ in where the item is, of `object` in what it is, of `goal` in what becomes of it, and those of `long`
ask for two things in a row. Lengths are metres in LIBERO's table frame: x away from the robot (towards the camera), y to
the robot's left, z up from the table top.

Everything here serves one aim: a policy of about a million parameters that sees nothing but the agentview can learn the
suite in minutes on a CPU, by honest means. Items are wide at the foot, so that they are large on screen and do not
topple, and have a handle that is slim in the gripper's closing axis (y) and deep in the other (x), which a single camera
shows worst. A grasp forgives 4.4 cm along y and 5 along x; the way from the hand to an item varies by more.
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
class Kind:
    """What a thing is; the same in every suite that has it."""

    name: str  # "can" is the BDDL category mini_can
    parts: tuple[Part, ...]
    yaw: float = 0.1  # rad, half-range
    region: tuple[Vector, Vector] | None = None  # centre and half size of LIBERO's contain_region, for containers

    @property
    def category(self) -> str:
        """The BDDL category."""
        return f"mini_{self.name}"

    @property
    def top(self) -> float:
        """Height of the highest part's upper face (m)."""
        return max(part.position[2] + part.half_size[2] for part in self.parts)


@dataclass(frozen=True)
class Thing:
    """An object of the scene, with the region where it is placed."""

    kind: Kind
    centre: tuple[float, float]
    jitter: tuple[float, float]  # half-ranges of the position's uniform distribution
    number: int = 1  # tells things of one kind apart
    phrase: str | None = None  # what instructions call it; default: its kind

    @property
    def name(self) -> str:
        """Its name in the suite."""
        return self.kind.name if self.number == 1 else f"{self.kind.name}_{self.number}"

    @property
    def instance(self) -> str:
        """The BDDL object."""
        return f"{self.kind.category}_{self.number}"

    @property
    def region(self) -> tuple[Vector, Vector] | None:
        """Its kind's region."""
        return self.kind.region

    @property
    def called(self) -> str:
        """What instructions call it."""
        return self.phrase or self.kind.name


@dataclass(frozen=True)
class Goal:
    """The item has to end in the container."""

    item: str
    container: str
    # Where the expert drops it, from the container's centre; any place inside counts.
    slot: tuple[float, float] = (0, 0)


@dataclass(frozen=True)
class MiniTask:
    """An instruction and its goals, in the order in which the expert reaches them."""

    language: str
    goals: tuple[Goal, ...]

    @property
    def name(self) -> str:
        """The task's name, as in LIBERO: the instruction with underscores."""
        return self.language.replace(" ", "_")


@dataclass(frozen=True)
class MiniSuite:
    """A scene and what is asked in it."""

    name: str
    things: tuple[Thing, ...]
    goals_by_task: tuple[tuple[Goal, ...], ...]
    start: Vector = (-0.06, 0.0, 0.17)  # of the gripper's centre
    start_jitter: Vector = (0.04, 0.05, 0.02)  # half-ranges

    def thing(self, name: str) -> Thing:
        """Return the thing of this name."""
        return next(thing for thing in self.things if thing.name == name)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals of all tasks."""
        return tuple(goal for goals in self.goals_by_task for goal in goals)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of its things, each once."""
        return tuple(dict.fromkeys(thing.kind for thing in self.things))

    @property
    def tasks(self) -> tuple[MiniTask, ...]:
        """The tasks, each with the instruction that its goals make."""
        tasks = []
        for goals in self.goals_by_task:
            parts = [f"the {self.thing(goal.item).called} in the {self.thing(goal.container).called}" for goal in goals]
            tasks.append(MiniTask(f"put {' and '.join(parts)}", goals))
        return tuple(tasks)


def _dark(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _item(name: str, colour: Colour) -> Kind:
    """A foot with a handle on top."""
    foot = Part((0, 0, 0.020), (0.032, 0.027, 0.020), _dark(colour, 0.55), foot=True)
    handle = Part((0, 0, 0.070), (0.048, 0.011, 0.030), colour)
    return Kind(name, (foot, handle))


def _container(name: str, colour: Colour, wall: float, depth: float = 0.09) -> Kind:
    """An open box with walls of the given height; ``depth`` is its half size in x."""
    side, thickness = 0.09, 0.005
    floor = Part((0, 0, thickness), (depth, side, thickness), _dark(colour, 0.6))
    walls = [
        # Only the floor touches the table: every box that does costs four contacts.
        Part((x * depth, y * side, (wall + thickness) / 2), (sx, sy, (wall - thickness) / 2), colour)
        for x, y, sx, sy in (
            (1, 0, thickness, side),
            (-1, 0, thickness, side),
            (0, 1, depth, thickness),
            (0, -1, depth, thickness),
        )
    ]
    region = ((0.0, 0.0, 0.015), (depth - 0.004, side - 0.004, 0.03))
    return Kind(name, (floor, *walls), region=region)


def _landmark(name: str, colour: Colour, half_size: tuple[float, float]) -> Kind:
    """A flat slab, lower than the fingers reach, so that it is in nobody's way."""
    return Kind(name, (Part((0, 0, 0.010), (*half_size, 0.010), colour, foot=True),))


CAN = _item("can", (0.95, 0.08, 0.06))
MILK = _item("milk", (0.08, 0.30, 1.0))
BROWN, GREEN = (0.50, 0.27, 0.08), (0.10, 0.62, 0.25)
BASKET = _container("basket", BROWN, wall=0.045)
TRAY = _container("tray", GREEN, wall=0.016)


GOAL = MiniSuite(
    name="goal",
    things=(
        Thing(CAN, (0.03, -0.085), jitter=(0.03, 0.04)),
        Thing(MILK, (0.03, 0.085), jitter=(0.03, 0.04)),
        Thing(BASKET, (-0.17, 0.135), jitter=(0.02, 0.02)),
        Thing(TRAY, (-0.17, -0.135), jitter=(0.02, 0.02)),
    ),
    goals_by_task=(
        (Goal("can", "basket"),),
        (Goal("can", "tray"),),
        (Goal("milk", "basket"),),
        (Goal("milk", "tray"),),
    ),
)

# Two equal cans, and beside each something to call it by.
SPATIAL = MiniSuite(
    name="spatial",
    things=(
        Thing(CAN, (0.03, -0.08), jitter=(0.03, 0.03), phrase="can next to the plate"),
        Thing(CAN, (0.03, 0.08), jitter=(0.03, 0.03), number=2, phrase="can next to the book"),
        Thing(_landmark("plate", (0.95, 0.95, 0.92), (0.035, 0.035)), (0.03, -0.188), jitter=(0.03, 0.01)),
        Thing(_landmark("book", (0.08, 0.10, 0.40), (0.045, 0.028)), (0.03, 0.188), jitter=(0.03, 0.01)),
        Thing(BASKET, (-0.17, 0.135), jitter=(0.02, 0.02)),
        Thing(TRAY, (-0.17, -0.135), jitter=(0.02, 0.02)),
    ),
    goals_by_task=(
        (Goal("can", "basket"),),
        (Goal("can", "tray"),),
        (Goal("can_2", "basket"),),
        (Goal("can_2", "tray"),),
    ),
)

OBJECT = MiniSuite(
    name="object",
    things=(
        Thing(CAN, (0.03, -0.08), jitter=(0.03, 0.03)),
        Thing(MILK, (0.03, 0.08), jitter=(0.03, 0.03)),
        Thing(_item("juice", (1.0, 0.55, 0.0)), (-0.10, -0.19), jitter=(0.03, 0.02)),
        Thing(_item("tea", (0.10, 0.75, 0.30)), (-0.10, 0.19), jitter=(0.03, 0.02)),
        Thing(BASKET, (-0.17, 0.0), jitter=(0.02, 0.02)),
    ),
    goals_by_task=(
        (Goal("can", "basket"),),
        (Goal("milk", "basket"),),
        (Goal("juice", "basket"),),
        (Goal("tea", "basket"),),
    ),
)

# The containers are deep enough for two items, one behind the other; the first goes to the back, so that the second
# is not carried over it.
BACK, FRONT = (-0.06, 0.0), (0.045, 0.0)

LONG = MiniSuite(
    name="long",
    things=(
        Thing(CAN, (0.03, -0.085), jitter=(0.02, 0.04)),
        Thing(MILK, (0.03, 0.085), jitter=(0.02, 0.04)),
        Thing(_container("deep_basket", BROWN, 0.045, 0.12), (-0.19, 0.135), jitter=(0.015, 0.02), phrase="basket"),
        Thing(_container("deep_tray", GREEN, 0.016, 0.12), (-0.19, -0.135), jitter=(0.015, 0.02), phrase="tray"),
    ),
    goals_by_task=(
        (Goal("can", "deep_basket", BACK), Goal("milk", "deep_basket", FRONT)),
        (Goal("can", "deep_basket", BACK), Goal("milk", "deep_tray", FRONT)),
        (Goal("can", "deep_tray", BACK), Goal("milk", "deep_basket", FRONT)),
        (Goal("can", "deep_tray", BACK), Goal("milk", "deep_tray", FRONT)),
    ),
)

SUITES = {suite.name: suite for suite in (GOAL, SPATIAL, OBJECT, LONG)}
KINDS = tuple(dict.fromkeys(kind for suite in SUITES.values() for kind in suite.kinds))
