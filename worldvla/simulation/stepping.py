"""A control step of robosuite with the same bits in less time (benchmarks/README.md).

robosuite computes the forward dynamics three times per physics step: before the controller, in the controller, and inside
``mj_step``. Between the first and the second nothing changes but the solver's warm start, between the second and the third
only the controls. So

    mj_forward, mj_forward, mj_step     becomes     mj_forward, mj_fwdConstraint, mj_step2

which repeats the solver, whose result depends on where it starts, and what depends on the controls, and nothing else.
Equality of states, controls and frames with robosuite's own step is tested for both benchmarks.
"""

from typing import Any

import mujoco
import numpy as np

from worldvla.simulation.arm_control import ArmControl

# Of an unstable simulation; MuJoCo only warns, and starts again from its default state.
FATAL_WARNINGS = [
    int(kind)
    for kind in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
]


class ExactStepper:
    """Steps a robosuite environment with one arm, whose simulation is never built anew (``hard_reset=False``)."""

    def __init__(self, robosuite: Any) -> None:
        """Take an environment that was just built."""
        self._robosuite = robosuite
        self._model, self._data = robosuite.sim.model._model, robosuite.sim.data._data
        # Runge-Kutta evaluates the dynamics inside the integration: mj_step2 would not be the rest of its step.
        assert self._model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4
        self._num_substeps = int(robosuite.control_timestep / robosuite.model_timestep)
        self._arm = ArmControl(robosuite)

    def step(self, action: np.ndarray) -> bool:
        """Run one control step and return whether the task is solved now.

        Args:
            action: float64 [7] in [-1, 1].
        """
        robosuite = self._robosuite
        robosuite.timestep += 1
        for substep in range(self._num_substeps):
            # As mj_step does, before anything is computed from positions out of all bounds.
            mujoco.mj_checkPos(self._model, self._data)
            mujoco.mj_checkVel(self._model, self._data)
            mujoco.mj_forward(self._model, self._data)
            self._arm.apply(action, is_first=substep == 0)
            mujoco.mj_step2(self._model, self._data)
        robosuite.cur_time += robosuite.control_timestep
        robosuite._post_process()
        return bool(robosuite._check_success())

    def is_unstable(self) -> bool:
        """Return whether the simulation broke down since the last reset."""
        return any(self._data.warning[kind].number for kind in FATAL_WARNINGS)
