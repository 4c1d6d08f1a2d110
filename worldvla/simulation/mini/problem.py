"""The embedded benchmark's problem class, objects and gripper, registered with LIBERO's engine.

Importing this module imports robosuite and LIBERO's environments: ``libero.py`` does it in ``Environment`` only.
"""

import numpy as np
from libero.libero.envs.base_object import register_object
from libero.libero.envs.bddl_base_domain import TASK_MAPPING, register_problem
from libero.libero.envs.regions import REGION_SAMPLERS, TableRegionSampler
from robosuite.models.grippers import GRIPPER_MAPPING
from robosuite.models.grippers.panda_gripper import PandaGripper
from robosuite.models.objects import MujocoXMLObject
from robosuite.utils.mjcf_utils import array_to_string

from worldvla.simulation import visuals
from worldvla.simulation.mini import assets
from worldvla.simulation.mini.suites import KINDS, Kind

CONTROL_HZ = 10
TIMESTEP_S = 0.01
GRIPPER = "MiniPandaGripper"
FINGER_TRAVEL_M = 0.055  # 4 cm of the real one: a grasp forgives 4.4 cm along y

CAMERA_POSITION = np.array([0.62, 0.0, 1.62])
CAMERA_TARGET = np.array([-0.09, 0.0, 0.99])
CAMERA_FOVY_DEG = 31.0

# @register_problem returns None, so LIBERO's classes are reachable through its table only.
Tabletop = TASK_MAPPING["libero_tabletop_manipulation"]


class MiniPandaGripper(PandaGripper):
    """The Panda gripper with fingers that open wider, at the speed of the real one.

    robosuite moves the command by a constant per physics step, so that a coarser step would make the fingers slower.
    """

    def __init__(self, idn: int | str = 0) -> None:
        """Let each finger move by ``FINGER_TRAVEL_M``."""
        super().__init__(idn)
        for number, ends in ((1, (0.0, FINGER_TRAVEL_M)), (2, (-FINGER_TRAVEL_M, 0.0))):
            name = f"{self.naming_prefix}finger_joint{number}"
            joint, motor = self.root.find(f".//joint[@name='{name}']"), self.root.find(f".//position[@joint='{name}']")
            assert joint is not None
            assert motor is not None
            joint.set("range", array_to_string(ends))
            motor.set("ctrlrange", array_to_string(ends))

    @property
    def speed(self) -> float:
        """Change of the normalised finger command per physics step; robosuite's is 0.01 for 2 ms."""
        return 0.16


class Mini_Tabletop_Manipulation(Tabletop):  # noqa: N801 - LIBERO derives the BDDL problem's name from it
    """LIBERO's tabletop problem with our arena and camera."""

    def __init__(self, bddl_file_name: str, *args: object, **kwargs: object) -> None:
        """Build the problem of a BDDL file."""
        kwargs["scene_xml"] = str(assets.folder() / "scene.xml")
        super().__init__(bddl_file_name, *args, **kwargs)

    def _setup_camera(self, mujoco_arena: object) -> None:
        mujoco_arena.set_camera(  # pyright: ignore[reportAttributeAccessIssue]
            camera_name="agentview",
            pos=CAMERA_POSITION,
            quat=visuals.camera_quaternion(CAMERA_POSITION, CAMERA_TARGET),
            camera_attribs={"fovy": str(CAMERA_FOVY_DEG)},
        )


class RegionSampler(TableRegionSampler):
    """LIBERO's sampler, without its drop from 1 cm."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Place things 1 mm above the table."""
        super().__init__(*args, **kwargs, z_offset=0.001)


def _register_kind(kind: Kind) -> None:
    path = str(assets.object_file(kind))

    def init(self: MujocoXMLObject, name: str) -> None:
        joints = [{"type": "free", "damping": "0.0005"}]
        MujocoXMLObject.__init__(self, path, name, joints=joints, duplicate_collision_geoms=False)
        # What LIBERO reads of its own objects.
        self.category_name = kind.category
        self.rotation, self.rotation_axis = (-kind.yaw, kind.yaw), "z"
        self.object_properties = {"vis_site_names": {}}

    # LIBERO makes the category's name of the class's: MiniCan -> mini_can
    class_name = "".join(word.capitalize() for word in kind.category.split("_"))
    register_object(type(class_name, (MujocoXMLObject,), {"__init__": init}))


register_problem(Mini_Tabletop_Manipulation)
REGION_SAMPLERS[assets.PROBLEM.lower()] = {"table": RegionSampler}
GRIPPER_MAPPING[GRIPPER] = MiniPandaGripper
for _kind in KINDS:
    _register_kind(_kind)
