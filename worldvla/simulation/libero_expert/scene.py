"""What the expert sees of a LIBERO scene: collision geometry, the hand, and which predicates of the goal hold.

All lengths are in metres, in the world frame; z is up and the robot looks along +x. At home the fingers close along y.
"""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from worldvla.simulation.libero import Environment

RAY_START_M = 3.0  # above everything
SPACING_M = 0.02  # of the points on a box's faces

Goal = tuple[str, ...]  # a predicate's name and what it is about: ("on", "bowl_1", "plate_1")


@dataclass(frozen=True)
class Joint:
    """A joint of a fixture, where it is now; of a drawer, a door or a knob."""

    body: int  # that it moves
    slides: bool  # else it turns
    axis: np.ndarray  # float64 [3], a unit vector
    anchor: np.ndarray  # float64 [3], a place on the axis
    value: float  # m or rad
    limits: tuple[float, float]


class Scene:
    """A view of the simulator's current state; nothing here is kept from step to step but shapes."""

    def __init__(self, environment: Environment) -> None:
        """Take an environment that was just reset."""
        self._env: Any = environment.robosuite
        self.model, self.data = self._env.sim.model._model, self._env.sim.data._data
        self._robot = self._env.robots[0]
        self.home = np.array(self._robot.controller.initial_ee_ori_mat)  # the hand's orientation at home, [3, 3]
        self.goals: list[Goal] = [tuple(goal) for goal in self._env.parsed_problem["goal_state"]]
        self._shapes = {
            geom: geom_points(self.model, geom)
            for geom in range(self.model.ngeom)
            if (self.model.geom_contype[geom] or self.model.geom_conaffinity[geom])
            and self.model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_PLANE
        }
        self._geoms = {body: self._geoms_under(body) for body in range(self.model.nbody)}
        robot = [
            body
            for body in range(self.model.nbody)
            if self.model.body(body).name.startswith(("robot0", "gripper0", "mount0"))
        ]
        self._robot_geoms = {geom for body in robot for geom in self._geoms[body]}
        objects = [self._env.obj_body_id[name] for name in self._env.objects_dict]
        self._loose_geoms = {geom for body in objects for geom in self._geoms[body]}

    def hand(self) -> np.ndarray:
        """Return the point between the finger tips, float64 [3]."""
        return self.data.site_xpos[self._robot.eef_site_id].copy()

    def turn(self) -> np.ndarray:
        """Return the hand's orientation, float64 [3, 3]; its first column is the axis along which the fingers close."""
        return self.data.site_xmat[self._robot.eef_site_id].reshape(3, 3).copy()

    def gap(self) -> float:
        """Return how far the fingers are apart."""
        left, right = self.data.qpos[self._robot._ref_gripper_joint_pos_indexes]
        return float(left - right)

    def holds(self, goal: Goal) -> bool:
        """Return whether a predicate of the goal is true now."""
        return bool(self._env._eval_predicate(list(goal)))

    def is_thing(self, name: str) -> bool:
        """Return whether a name is that of an object or a fixture, and not of a region."""
        return name in self._env.obj_body_id

    def is_movable(self, name: str) -> bool:
        """Return whether a name is that of an object."""
        return name in self._env.objects_dict

    def parent(self, region: str) -> str | None:
        """Return the thing that a region belongs to; None for the table's."""
        return self._env.object_sites_dict[region].parent_name

    def joint(self, name: str) -> Joint | None:
        """Return the joint that moves a region, as a drawer's, or a part of a fixture; None if nothing moves."""
        owner = self._env.get_object(name)
        if not owner.joints:
            return None
        joint = self.model.joint(owner.joints[0])
        low, high = joint.range
        return Joint(
            body=int(joint.bodyid[0]),
            slides=int(joint.type[0]) == mujoco.mjtJoint.mjJNT_SLIDE,
            axis=self.data.xaxis[joint.id].copy(),
            anchor=self.data.xanchor[joint.id].copy(),
            value=float(self.data.qpos[joint.qposadr[0]]),
            limits=(float(low), float(high)),
        )

    def body(self, name: str) -> int:
        """Return a thing's root body."""
        return self._env.obj_body_id[name]

    def position(self, name: str) -> np.ndarray:
        """Return where a thing's body or a region's centre is, float64 [3]."""
        if self.is_thing(name):
            return self.data.xpos[self.body(name)].copy()
        return self.data.site_xpos[self._site(name)].copy()

    def region_size(self, region: str) -> np.ndarray:
        """Return half the extents of a region along the world's axes, float64 [3]."""
        turn = self.data.site_xmat[self._site(region)].reshape(3, 3)
        return np.abs(turn) @ np.asarray(self._env.object_sites_dict[region].size, dtype=np.float64)

    def points(self, body: int) -> np.ndarray:
        """Return points on the collision geometry of a body and of what hangs on it, float64 [n, 3]."""
        return self._world(self._geoms[body])

    def parts(self, body: int) -> list[np.ndarray]:
        """Return the points of ``points`` by geom, each float64 [n, 3]."""
        return [self._world([geom]) for geom in self._geoms[body]]

    def obstacles(self, without: int) -> np.ndarray:
        """Return points on everything but the robot and a body, float64 [n, 3]."""
        return np.concatenate([self.loose(without), self.fixed()])

    def loose(self, without: int) -> np.ndarray:
        """Return points on all objects but one, float64 [n, 3]."""
        hidden = set(self._geoms[without])
        return self._world([geom for geom in self._loose_geoms if geom not in hidden])

    def fixed(self) -> np.ndarray:
        """Return points on fixtures and furniture, float64 [n, 3]."""
        return self._world([geom for geom in self._shapes if geom not in self._robot_geoms | self._loose_geoms])

    def height_at(self, body: int, place: np.ndarray) -> float:
        """Return the height of a body's collision geometry at a place, float64 [2 or 3]; -inf where there is none."""
        start = np.array([place[0], place[1], RAY_START_M])
        down = np.array([0.0, 0.0, -1.0])
        distances = [self._ray(geom, start, down) for geom in self._geoms[body]]
        hits = [distance for distance in distances if distance >= 0]
        return RAY_START_M - min(hits) if hits else -np.inf

    def touches(self, body: int) -> bool:
        """Return whether a body is in contact with anything but the robot."""
        mine = set(self._geoms[body])
        for contact in self.data.contact[: self.data.ncon]:
            pair = {int(contact.geom1), int(contact.geom2)}
            if pair & mine and not pair & self._robot_geoms and not pair <= mine:
                return True
        return False

    def is_gripped(self, body: int) -> bool:
        """Return whether a body is in contact with the robot."""
        mine = set(self._geoms[body])
        for contact in self.data.contact[: self.data.ncon]:
            pair = {int(contact.geom1), int(contact.geom2)}
            if pair & mine and pair & self._robot_geoms:
                return True
        return False

    def _ray(self, geom: int, start: np.ndarray, along: np.ndarray) -> float:
        """Return the distance from a place to a geom along a direction; -1 where it misses."""
        if self.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            return mujoco.mj_rayMesh(self.model, self.data, geom, start, along)
        data = self.data
        return mujoco.mju_rayGeom(
            data.geom_xpos[geom],
            data.geom_xmat[geom],
            self.model.geom_size[geom],
            start,
            along,
            self.model.geom_type[geom],
        )

    def _site(self, region: str) -> int:
        return mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, region)

    def _geoms_under(self, root: int) -> list[int]:
        found = []
        for geom in self._shapes:
            body = int(self.model.geom_bodyid[geom])
            while body not in (0, root):
                body = int(self.model.body_parentid[body])
            if body == root:
                found.append(geom)
        return found

    def _world(self, geoms: list[int]) -> np.ndarray:
        parts = [
            self._shapes[geom] @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[geom] for geom in geoms
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 3))


def geom_points(model: Any, geom: int) -> np.ndarray:
    """Return points on a collision geom in its own frame, float64 [n, 3]; at most 2 cm apart on a box."""
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        axes = [np.linspace(-half, half, 2 + int(2 * half / SPACING_M)) for half in size]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return grid[np.isclose(np.abs(grid), size).any(1)]
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        start = model.mesh_vertadr[mesh]
        return np.array(model.mesh_vert[start : start + model.mesh_vertnum[mesh]], dtype=np.float64)
    radius = size[0]
    half = size[1] if kind in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE) else radius
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    heights = np.linspace(-half, half, 2 + int(2 * half / SPACING_M))
    return np.concatenate([np.column_stack([ring, np.full(len(ring), height)]) for height in heights])
