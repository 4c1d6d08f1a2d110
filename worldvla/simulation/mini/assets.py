"""The embedded benchmark's files: MuJoCo models, BDDL tasks and init states, generated into a cache folder."""

import functools
from importlib.metadata import version
from pathlib import Path

from worldvla.files import value_digest
from worldvla.simulation.cache import CACHE, racing_folder
from worldvla.simulation.mini.suites import KINDS, SUITES, Kind, MiniSuite, MiniTask, Part

PROBLEM = "Mini_Tabletop_Manipulation"
# What decides the initial states besides this package.
SIMULATION = ("arm.py", "arm_control.py", "libero.py", "problems.py", "stepping.py", "visuals.py", "../arithmetic.py")

# Stiff contacts and the friction of LIBERO's own generated objects.
CONTACT = 'solimp="0.998 0.998 0.001" solref="0.001 1"'
GRIP = 'friction="0.95 0.3 0.1" density="60"'
# priority: its friction holds, not the larger of the two
FOOT = 'friction="0.3 0.01 0.001" priority="1" density="400"'


@functools.cache
def folder() -> Path:
    """Return the folder of generated files, made on first use.

    Its name holds the digest of the sources that decide what is in it and of the simulator's versions, so that nothing
    stale is ever read. Several processes may race to make it: each writes its own scratch folder, the first rename wins.
    """
    sources = [*sorted(Path(__file__).parent.glob("*.py")), *[Path(__file__).parents[1] / name for name in SIMULATION]]
    versions = [version(name) for name in ("mujoco", "robosuite", "hf-libero")]
    digest = value_digest([[path.name, path.read_text()] for path in sources] + versions)
    final = CACHE / f"mini-{digest[:12]}"
    if not final.exists():
        with racing_folder(final) as scratch:
            _write(scratch)
    return final


def bddl_file(suite: MiniSuite, task: MiniTask) -> Path:
    """Return a task's BDDL file."""
    return folder() / "bddl" / suite.name / f"{task.name}.bddl"


def object_file(kind: Kind) -> Path:
    """Return the file of a kind's MuJoCo model."""
    return folder() / "objects" / f"{kind.name}.xml"


def _write(root: Path) -> None:
    (root / "scene.xml").write_text(SCENE)
    (root / "objects").mkdir()
    for kind in KINDS:
        (root / "objects" / f"{kind.name}.xml").write_text(object_xml(kind))
    for suite in SUITES.values():
        (root / "bddl" / suite.name).mkdir(parents=True)
        for task in suite.tasks:
            (root / "bddl" / suite.name / f"{task.name}.bddl").write_text(bddl(suite, task))


def object_xml(kind: Kind) -> str:
    """Return the MuJoCo model of a kind of thing, in the form that robosuite's ``MujocoXMLObject`` reads.

    Each part is two geoms, as robosuite wants it: one that collides (group 0) and one that is seen (group 1).
    """
    geoms = "\n".join(_geoms(part) for part in kind.parts)
    region = ""
    if kind.region:
        position, half_size = (_numbers(vector) for vector in kind.region)
        shape = f'type="box" pos="{position}" size="{half_size}" quat="1 0 0 0"'
        region = f'<site name="contain_region" {shape} rgba="0 0 0 0"/>'
    # The horizontal radius would shrink the region from which the position is drawn: keep it near 0.
    return f"""<mujoco model="{kind.category}">
<asset/>
<worldbody><body>
<body name="object">
{region}
{geoms}
</body>
<site name="bottom_site" pos="0 0 0" size="0.005" rgba="0 0 0 0"/>
<site name="top_site" pos="0 0 {kind.top}" size="0.005" rgba="0 0 0 0"/>
<site name="horizontal_radius_site" pos="0.001 0.001 0" size="0.005" rgba="0 0 0 0"/>
</body></worldbody>
</mujoco>
"""


def _geoms(part: Part) -> str:
    shape = f'type="box" pos="{_numbers(part.position)}" size="{_numbers(part.half_size)}"'
    colour = f'rgba="{_numbers(part.colour)} 1"'
    return (
        f'<geom {shape} {colour} group="0" {CONTACT} {FOOT if part.foot else GRIP}/>\n'
        f'<geom {shape} {colour} group="1" contype="0" conaffinity="0" mass="0"/>'
    )


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def bddl(suite: MiniSuite, task: MiniTask) -> str:
    """Return a task's BDDL text: where things start, and LIBERO's ``In`` for each goal."""
    pairs = [(suite.thing(goal.item).instance, suite.thing(goal.container).instance) for goal in task.goals]
    regions, placements = [], []
    for thing in suite.things:
        (x, y), (dx, dy) = thing.centre, thing.jitter
        box = " ".join(f"{value:g}" for value in (x - dx, y - dy, x + dx, y + dy))
        regions.append(f"({thing.name}_region (:target main_table) (:ranges (({box}))))")
        placements.append(f"(On {thing.instance} main_table_{thing.name}_region)")
        if thing.region:
            regions.append(f"(contain_region (:target {thing.instance}))")
    objects = " ".join(
        # LIBERO keeps the last list of a category only.
        " ".join(thing.instance for thing in suite.things if thing.kind == kind) + f" - {kind.category}"
        for kind in suite.kinds
    )
    goals = " ".join(f"(In {item} {container}_contain_region)" for item, container in pairs)
    of_interest = " ".join(dict.fromkeys(instance for pair in pairs for instance in pair))
    return f"""(define (problem {PROBLEM})
  (:domain robosuite)
  (:language {task.language})
  (:regions {" ".join(regions)})
  (:fixtures main_table - table)
  (:objects {objects})
  (:obj_of_interest {of_interest})
  (:init {" ".join(placements)})
  (:goal (And {goals}))
)
"""


# LIBERO's TableArena wants these names. The two textures are never loaded: the problem drops what nothing uses.
SCENE = """<mujoco model="mini_table">
<asset>
<texture file="none/floor.png" type="2d" name="texplane"/>
<texture file="none/wall.png" type="2d" name="tex-wall"/>
</asset>
<worldbody>
<geom name="floor" type="plane" pos="0 0 0" size="3 3 .125" condim="3" group="1" rgba="0.16 0.17 0.20 1"/>
<body name="table" pos="0 0 0.4">
<geom name="table_collision" type="box" pos="0 0 0" size="0.4 0.4 0.4" group="0" friction="1 0.005 0.0001"/>
<geom name="table_visual" type="box" pos="0 0 0" size="0.4 0.4 0.4" group="1" contype="0" conaffinity="0" rgba="0.50 0.50 0.54 1"/>
<site name="table_top" pos="0 0 0.4" size="0.001 0.001 0.001" rgba="0 0 0 0"/>
<geom name="table_leg1_visual" type="cylinder" size="0.05 0.1" group="1" contype="0" conaffinity="0" rgba="0.3 0.3 0.3 1"/>
<geom name="table_leg2_visual" type="cylinder" size="0.05 0.1" group="1" contype="0" conaffinity="0" rgba="0.3 0.3 0.3 1"/>
<geom name="table_leg3_visual" type="cylinder" size="0.05 0.1" group="1" contype="0" conaffinity="0" rgba="0.3 0.3 0.3 1"/>
<geom name="table_leg4_visual" type="cylinder" size="0.05 0.1" group="1" contype="0" conaffinity="0" rgba="0.3 0.3 0.3 1"/>
</body>
<light pos="0.6 0.3 2.5" dir="-0.3 -0.15 -1" directional="true" castshadow="false" diffuse="0.55 0.55 0.55" ambient="0.15 0.15 0.15" specular="0 0 0"/>
<camera mode="fixed" name="agentview" pos="0.5 0 1.35" quat="0.653 0.271 0.271 0.653"/>
</worldbody>
</mujoco>
"""
