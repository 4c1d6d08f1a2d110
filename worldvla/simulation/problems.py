"""Builds LIBERO's problems on robosuite: with a reset that keeps the compiled model, and in plain looks where asked.

Importing this module imports robosuite and LIBERO's environments: ``libero.py`` does it in ``Environment`` only.
"""

from typing import Any

import robosuite
from libero.libero.envs import TASK_MAPPING, bddl_utils

from worldvla.params.benchmarks import Looks
from worldvla.simulation import visuals
from worldvla.simulation.mini import problem as mini_problem
from worldvla.simulation.tasks import Task


class KeptModel:
    """A problem whose resets begin from the compiled model, as if it had just been compiled.

    Fixtures are moved by writing to the model, and things on or in a fixture are placed where it is at that time. So the
    poses of the compiled model come back first, as after a hard reset.
    """

    sim: Any
    compiled_poses: tuple[Any, Any] | None = None

    def _reset_internal(self) -> None:
        model = self.sim.model
        if self.compiled_poses is None:
            self.compiled_poses = (model.body_pos.copy(), model.body_quat.copy())
        model.body_pos[:], model.body_quat[:] = self.compiled_poses
        super()._reset_internal()  # pyright: ignore[reportAttributeAccessIssue]


class PlainLooks:
    """A problem whose robot is shown by its collision meshes, without reflections and shadows."""

    model: Any
    robots: Any

    def _load_model(self) -> None:
        super()._load_model()  # pyright: ignore[reportAttributeAccessIssue]
        visuals.simplify(self.model.root)
        visuals.forget_hidden(self.robots[0].robot_model, self.model.root)


def build(task: Task, looks: Looks) -> Any:
    """Return a task's robosuite environment, reset once with numpy's global random numbers."""
    kind = TASK_MAPPING[bddl_utils.get_problem_info(str(task.bddl_file))["problem_name"]]
    mini = task.benchmark == "mini"
    plain = mini or looks == "simple"
    bases = (KeptModel, *[PlainLooks] * plain, kind)
    # LIBERO compares the class's name with that in the BDDL file.
    problem = type(kind.__name__, bases, {})(
        str(task.bddl_file),
        # What LIBERO's ControlEnv asks for, but for the hard reset and observations that nothing reads.
        robots=["Panda"],
        controller_configs=robosuite.load_controller_config(default_controller="OSC_POSE"),
        gripper_types=mini_problem.GRIPPER if mini else "default",
        initialization_noise=None,
        use_camera_obs=False,
        has_renderer=False,
        has_offscreen_renderer=True,
        render_gpu_device_id=-1,
        control_freq=mini_problem.CONTROL_HZ if mini else 20,
        ignore_done=True,
        hard_reset=False,
    )
    # Observables are sensors that nothing here reads: a sixth of a step's time.
    problem._update_observables = lambda *args, **kwargs: None
    problem._get_observations = lambda *args, **kwargs: {}
    if plain:
        visuals.tune_renderer(problem.sim._render_context_offscreen)
    return problem
