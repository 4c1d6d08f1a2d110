"""LIBERO's environments: the published suites, and the embedded ``mini`` ones on the same engine.

Nothing here imports robosuite, MuJoCo or LIBERO until an environment is built or LIBERO's initial states are asked for.
"""

import atexit
import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from worldvla.files import atomic_file
from worldvla.params.benchmarks import Looks, suite_entry
from worldvla.simulation import engine
from worldvla.simulation.libero_assets import find_assets
from worldvla.simulation.milestones import Milestones, Watch
from worldvla.simulation.mini import assets as mini_assets
from worldvla.simulation.processes import run_elsewhere
from worldvla.simulation.tasks import Task, libero_root

DUMMY_ACTION = np.array([0, 0, 0, 0, 0, 0, -1.0])  # stay, gripper open
NUM_SETTLE_STEPS = 10  # source: WorldVLA eval_solver_libero_256.py


def init_states(task: Task) -> np.ndarray:
    """Return the task's fixed initial simulator states, float64 [50, n]. No demonstration starts from one of them.

    Raises:
        ValueError: LIBERO's states, and a MuJoCo in which they are not at rest; or of ours, which cannot be drawn.
    """
    if task.benchmark == "mini":
        path = mini_assets.folder() / "init_states" / task.suite / f"{task.name}.npy"
        if not path.exists():
            run_elsewhere(f"draws the initial states of '{task.name}'", _make_init_states, task, path)
        return np.load(path)
    engine.check_mujoco()
    import torch

    folder = libero_root() / "init_files" / suite_entry(task.benchmark, task.suite).libero_name
    return np.asarray(torch.load(folder / f"{task.name}.pruned_init", weights_only=False), dtype=np.float64)


def _make_init_states(task: Task, path: Path) -> None:
    """Write the fixed initial states of a mini task to a file."""
    from worldvla.simulation.mini.starts import draw_init_states

    with Environment(task, pixels=16, seed=0) as environment:
        states = draw_init_states(environment)
    with atomic_file(path) as scratch:
        np.save(scratch, states)


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
        looks: Looks = "simple",
    ) -> None:
        """Build the scene.

        Args:
            task: what to build.
            pixels: side of the frames.
            seed: decides what the state vector does not hold (fixtures of the LIBERO suites).
            looks: of LIBERO's scenes: published, or simple, which render faster. The mini suites have simple ones of
                their own.

        Raises:
            ValueError: no OpenGL library, LIBERO's assets are absent, or a MuJoCo of other results.
        """
        self.task, self._pixels, self._seed = task, pixels, seed
        self._mini = task.benchmark == "mini"
        self._assets = mini_assets.folder() if self._mini else find_assets()
        self._num_steps = 0
        self._watch: Watch | None = None  # of an episode
        engine.import_simulator()
        if not self._mini:
            engine.check_mujoco()
        from worldvla.simulation.problems import build
        from worldvla.simulation.stepping import ExactStepper

        self._select()
        np.random.seed(seed)  # LIBERO draws from numpy's global stream
        self.robosuite = build(task, looks)
        self._stepper = ExactStepper(self.robosuite)
        atexit.register(self.close)  # at the interpreter's very end EGL is gone and the context complains

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
        self._watch = Watch(self.robosuite)

    def restore(self, state: np.ndarray) -> None:
        """Put the simulator into a state, float64 [n], whatever happened before; the same bits in every process.

        The state vector holds neither the poses of LIBERO's fixtures nor the controller's goal, the gripper's command
        and the solver's warm start: hence the seed, the reset and the zeros.
        """
        with self._told():
            self._restore(state)

    def _restore(self, state: np.ndarray) -> None:
        self.place(self._seed)
        self.robosuite.sim.set_state_from_flattened(np.asarray(state, dtype=np.float64))
        self.robosuite.sim.data.qacc_warmstart[:] = 0
        self.robosuite.sim.forward()
        if self._mini:
            # Else the first goal is relative to the pose before: stock LIBERO's arm always starts at home.
            self.robosuite.robots[0].controller.update(force=True)
        self.robosuite._check_success()
        self.robosuite._post_process()

    def place(self, seed: int) -> None:
        """Reset the simulator with placements drawn by LIBERO's samplers from a seed; the compiled model is kept."""
        self._select()
        self._watch = None
        np.random.seed(seed)  # LIBERO draws from numpy's global stream
        # A new gripper model starts half open; a kept one remembers its last command.
        gripper = self.robosuite.robots[0].gripper
        gripper.current_action = np.zeros_like(gripper.current_action)
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
        with self._told():
            success = self._stepper.step(action)
        if self._stepper.is_unstable():
            raise RuntimeError(f"{self._where()}: the simulation became unstable")
        if self._watch:
            self._watch.look()
        return success

    def milestones(self) -> Milestones:
        """Return how far the episode has come since ``reset``."""
        return self._watch.milestones() if self._watch else Milestones()

    def frame(self, pixels: int | None = None) -> np.ndarray:
        """Return what the agentview shows, upright, uint8 [px, px, 3].

        robosuite's own pictures, which LIBERO stores, are upside down. Upright is theirs turned by 180 degrees, as the
        released WorldVLA does, for training and evaluation alike: left and right are exchanged, the robot's left is on
        the left of the picture. A camera of ours that turned the picture back would not fit published checkpoints.
        """
        side = pixels or self._pixels
        # Several environments of a process have a context each.
        self.robosuite.sim._render_context_offscreen.gl_ctx.make_current()
        picture = self.robosuite.sim.render(width=side, height=side, camera_name="agentview")
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
            # In their own context; robosuite would in whichever is current when they are collected.
            context = self.robosuite.sim._render_context_offscreen
            context.gl_ctx.make_current()
            context.con.free()
            context.gl_ctx.free()
            self.robosuite.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Let what MuJoCo itself gives up on be an error that names the step."""
        import mujoco

        try:
            yield
        except mujoco.FatalError as error:
            raise RuntimeError(f"{self._where()}: the simulation broke down ({error})") from None

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
        libero._assets_path_cache = str(self._assets)
