"""The embedded suites in LIBERO's own register, for code that asks for a benchmark by its name.

    from worldvla.simulation.mini import benchmark
    libero.libero.benchmark.get_benchmark("mini_goal")()

Nothing in this repository needs it: ``worldvla.simulation.libero.tasks`` does without LIBERO's import of torch.
"""

import numpy as np

from worldvla.simulation import engine
from worldvla.simulation import libero as environments
from worldvla.simulation.tasks import tasks

engine.import_libero()

from libero.libero.benchmark import Benchmark, register_benchmark  # noqa: E402
from libero.libero.benchmark import Task as LiberoTask  # noqa: E402


class MiniBenchmark(Benchmark):
    """An embedded suite; the name of the class says which."""

    def __init__(self, task_order_index: int = 0) -> None:
        """List the tasks; there is one order only."""
        super().__init__(task_order_index)
        self.name = type(self).__name__.lower()
        self._suite = tasks("mini", self.name.removeprefix("mini_"))
        self.tasks = [
            LiberoTask(task.name, task.language, "Libero", self.name, task.bddl_file.name, f"{task.name}.npy")
            for task in self._suite
        ]
        self.n_tasks = len(self.tasks)

    def get_task_bddl_file_path(self, i: int) -> str:
        """Return the path of a task's BDDL file."""
        return str(self._suite[i].bddl_file)

    def get_task_init_states(self, i: int) -> np.ndarray:
        """Return a task's fixed initial states, float64 [50, n]."""
        return environments.init_states(self._suite[i])


# LIBERO's register takes the names of the classes.
class MINI_GOAL(MiniBenchmark):  # noqa: N801
    """The suite ``mini_goal``."""


class MINI_SPATIAL(MiniBenchmark):  # noqa: N801
    """The suite ``mini_spatial``."""


class MINI_OBJECT(MiniBenchmark):  # noqa: N801
    """The suite ``mini_object``."""


class MINI_LONG(MiniBenchmark):  # noqa: N801
    """The suite ``mini_long``."""


for _benchmark in (MINI_GOAL, MINI_SPATIAL, MINI_OBJECT, MINI_LONG):
    register_benchmark(_benchmark)
