"""LIBERO tasks and environments: the published suites, and the embedded ``mini`` ones on the same engine.

Nothing here imports robosuite, MuJoCo or LIBERO until an environment is built or a LIBERO suite is asked for.
"""

import atexit
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from worldvla.params.benchmarks import max_steps
from worldvla.simulation import engine
from worldvla.simulation.mini import assets as mini_assets
from worldvla.simulation.mini.suites import SUITES as MINI_SUITES

__all__ = ["DUMMY_ACTION", "Environment", "Task", "init_states", "max_steps", "tasks"]

DUMMY_ACTION = np.array([0, 0, 0, 0, 0, 0, -1.0])  # stay, gripper open
NUM_SETTLE_STEPS = 10  # source: WorldVLA eval_solver_libero_256.py
LIBERO_NAMES = {"spatial": "libero_spatial", "object": "libero_object", "goal": "libero_goal", "long": "libero_10"}


@dataclass(frozen=True)
class Task:
    """One task of a suite."""

    benchmark: str
    suite: str
    index: int  # LIBERO's order
    name: str  # with underscores; for the long suite with its scene: KITCHEN_SCENE3_turn_on_...
    language: str  # the instruction
    bddl_file: Path


def tasks(benchmark: str, suite: str) -> list[Task]:
    """Return the tasks of a suite in LIBERO's order.

    Raises:
        ValueError: no such benchmark or suite; the message lists the valid ones.
    """
    max_steps(benchmark, suite)  # names the valid benchmarks and suites
    if benchmark == "mini":
        mini = MINI_SUITES[suite]
        return [
            Task(benchmark, suite, index, task.name, task.language, mini_assets.bddl_file(mini, task))
            for index, task in enumerate(mini.tasks)
        ]
    engine.import_libero()
    from libero.libero.benchmark import get_libero_path, libero_task_map, task_maps

    name = LIBERO_NAMES[suite]
    folder = Path(get_libero_path("bddl_files")).resolve() / name
    return [
        Task(benchmark, suite, index, task, task_maps[name][task].language, folder / f"{task}.bddl")
        for index, task in enumerate(libero_task_map[name])
    ]


def init_states(task: Task) -> np.ndarray:
    """Return the task's fixed initial simulator states, float64 [50, n]. No demonstration starts from one of them."""
    if task.benchmark == "mini":
        from worldvla.simulation.mini.starts import read_init_states

        return read_init_states(lambda: Environment(task, pixels=16, seed=0), task.suite, task.index, task.name)
    engine.import_libero()
    import torch
    from libero.libero.benchmark import get_libero_path

    name = LIBERO_NAMES[task.suite]
    path = Path(get_libero_path("init_states")) / name / f"{task.name}.pruned_init"
    return np.asarray(torch.load(path, weights_only=False), dtype=np.float64)


class Environment:
    """A simulated task; a context manager. One per process at a time is the normal use.

    Attributes:
        task: the task.
        robosuite: the simulator itself, for what a policy may not see (the expert, the recorder).
    """

    task: Task
    robosuite: Any

    def __init__(
        self,
        task: Task,
        *,
        pixels: int,
        seed: int,
        cameras: tuple[str, ...] = ("agentview",),
        assets: Path | None = None,
    ) -> None:
        """Build the scene.

        Args:
            task: what to build.
            pixels: side of the frames.
            seed: decides what the state vector does not hold (fixtures of the LIBERO suites).
            cameras: the cameras that ``frame`` may ask for.
            assets: LIBERO's meshes and textures; default: the folder named by the environment variable
                ``LIBERO_ASSETS``, or hf-libero's own download. The mini suites need none.

        Raises:
            ValueError: no OpenGL library, or no such folder.
        """
        self.task, self._pixels, self._seed, self._cameras = task, pixels, seed, cameras
        self._mini = task.benchmark == "mini"
        self._assets = mini_assets.folder() if self._mini else _libero_assets(assets)
        self._num_steps = 0
        engine.import_simulator()
        import mujoco
        from libero.libero.envs.env_wrapper import ControlEnv

        kinds = mujoco.mjtWarning
        self._fatal = [int(kind) for kind in (kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC)]

        options: dict[str, Any] = {}
        if self._mini:
            from worldvla.simulation.mini import problem

            options = {"control_freq": problem.CONTROL_HZ, "gripper_types": problem.GRIPPER, "hard_reset": False}
        self._select()
        np.random.seed(seed)  # LIBERO draws from numpy's global stream
        control = ControlEnv(
            bddl_file_name=str(task.bddl_file),
            use_camera_obs=False,
            camera_names=list(cameras),
            ignore_done=True,
            **options,
        )
        self.robosuite = control.env
        atexit.register(self.close)  # at the interpreter's very end EGL is gone and the context complains
        # Observables are sensors that nothing here reads: a sixth of a step's time.
        self.robosuite._update_observables = lambda *args, **kwargs: None
        self.robosuite._get_observations = lambda *args, **kwargs: {}
        if self._mini:
            from worldvla.simulation.mini.visuals import tune_renderer

            tune_renderer(self.robosuite.sim._render_context_offscreen)

    def __enter__(self) -> "Environment":
        """Return the environment."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the simulator."""
        self.close()

    def reset(self, state: np.ndarray) -> None:
        """Start an episode: ``restore(state)``, then 10 steps of the dummy action, so that everything rests."""
        self.restore(state)
        for _ in range(NUM_SETTLE_STEPS):
            self.step(DUMMY_ACTION)
        self._num_steps = 0

    def restore(self, state: np.ndarray) -> None:
        """Put the simulator into a state, float64 [n], whatever happened before; the same bits in every process.

        The state vector holds neither the poses of LIBERO's fixtures nor the controller's goal and the gripper's
        command: hence the seed and the whole reset before. The mini suites have no fixtures and keep the model.
        """
        self.place(self._seed)
        self.robosuite.sim.set_state_from_flattened(np.asarray(state, dtype=np.float64))
        self.robosuite.sim.forward()
        if self._mini:
            # Else the first goal is relative to the pose before: stock LIBERO's arm always starts at home.
            self.robosuite.robots[0].controller.update(force=True)
        self.robosuite._check_success()
        self.robosuite._post_process()

    def place(self, seed: int) -> None:
        """Reset the simulator with placements drawn by LIBERO's samplers from a seed."""
        self._select()
        np.random.seed(seed)  # LIBERO draws from numpy's global stream
        if self._mini:
            # A new gripper model starts half open; a kept one remembers its last command.
            gripper = self.robosuite.robots[0].gripper
            gripper.current_action = np.zeros_like(gripper.current_action)
        else:
            self._free_renderer()
        # Not ControlEnv.reset: it turns an exception into an endless loop.
        self.robosuite.reset()
        self._num_steps = 0

    def step(self, action: np.ndarray) -> bool:
        """Run one control step and return whether the task is solved now, by LIBERO's predicates.

        Args:
            action: 7 commands in [-1, 1]: translation, rotation, gripper (-1 open, +1 close).

        Raises:
            ValueError: a command is not finite.
            RuntimeError: the simulation became unstable.
        """
        action = np.asarray(action, dtype=np.float64)
        if not np.isfinite(action).all():
            index = int(np.argmin(np.isfinite(action)))
            raise ValueError(
                f"{self._where()}: action[{index}] is {action[index]}; expected a finite command in [-1, 1]"
            )
        self._num_steps += 1
        success = bool(self.robosuite.step(action)[2])
        if any(self.robosuite.sim.data.warning[kind].number for kind in self._fatal):
            # MuJoCo only warns, and starts again from its default state.
            raise RuntimeError(f"{self._where()}: the simulation became unstable")
        return success

    def frame(self, camera: str = "agentview", pixels: int | None = None) -> np.ndarray:
        """Return an upright picture, uint8 [px, px, 3].

        robosuite's own pictures, which LIBERO stores, are upside down. Upright is theirs turned by 180 degrees, as the
        released WorldVLA does, for training and evaluation alike: left and right are exchanged, the robot's left is on
        the left of the picture. A camera of ours that turned the picture back would not fit published checkpoints.
        """
        assert camera in self._cameras, f"camera '{camera}' is not one of {self._cameras}"
        side = pixels or self._pixels
        # Several environments of a process have a context each.
        self.robosuite.sim._render_context_offscreen.gl_ctx.make_current()
        picture = self.robosuite.sim.render(width=side, height=side, camera_name=camera)
        return np.ascontiguousarray(picture[::-1, ::-1])

    def state(self) -> np.ndarray:
        """Return the simulator's state, float64 [n]: time, positions, velocities."""
        return self.robosuite.sim.get_state().flatten()

    def proprioception(self) -> dict[str, np.ndarray]:
        """Return the arm's state by the names of LIBERO's HDF5 files, float64; metres, radians."""
        from robosuite.utils.transform_utils import convert_quat, quat2axisangle

        data, robot = self.robosuite.sim.data, self.robosuite.robots[0]
        position = np.array(data.site_xpos[robot.eef_site_id])
        quaternion = convert_quat(data.get_body_xquat(robot.robot_model.eef_name), to="xyzw")
        orientation = quat2axisangle(quaternion.copy())
        fingers = np.array(data.qpos[robot._ref_gripper_joint_pos_indexes])
        return {
            "ee_pos": position,
            "ee_ori": orientation,
            "ee_states": np.concatenate([position, orientation]),
            "gripper_states": fingers,
            "joint_states": np.array(data.qpos[robot._ref_joint_pos_indexes]),
            "robot_states": np.concatenate([fingers, position, quaternion]),
        }

    def model_xml(self) -> str:
        """Return the scene as MuJoCo XML, with the paths of meshes relative to the packages they come from."""
        import robosuite

        packages = Path(str(robosuite.__file__)).parent.parent
        xml = self.robosuite.model.get_xml()
        for root in (packages, self._assets):
            xml = xml.replace(f"{root}/", "")
        return xml

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""
        atexit.unregister(self.close)
        if self.robosuite.sim is not None:
            self._free_renderer()
            self.robosuite.close()

    def _free_renderer(self) -> None:
        """Free the OpenGL objects in their own context; robosuite would in whichever is current when it is collected."""
        context = self.robosuite.sim._render_context_offscreen
        context.gl_ctx.make_current()
        context.con.free()
        context.gl_ctx.free()

    def _where(self) -> str:
        return f"{self.task.benchmark} {self.task.suite}/{self.task.name} step {self._num_steps}"

    def _select(self) -> None:
        """Set what robosuite and LIBERO keep in globals: the physics step and the folder of assets."""
        import robosuite.macros as macros
        from libero import libero

        macros.SIMULATION_TIMESTEP = 0.002
        if self._mini:
            from worldvla.simulation.mini.problem import TIMESTEP_S

            macros.SIMULATION_TIMESTEP = TIMESTEP_S
        libero._assets_path_cache = str(self._assets) if self._assets else None


def _libero_assets(folder: Path | None) -> Path | None:
    named = folder or os.environ.get("LIBERO_ASSETS")
    if named and not Path(named).is_dir():
        raise ValueError(f"LIBERO_ASSETS is {named}, no such folder; name the folder of LIBERO's assets, or unset it")
    return Path(named) if named else None
