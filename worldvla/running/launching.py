"""A stage as several processes: started here by torch's elastic launcher, or by ``torchrun`` or ``srun`` elsewhere.

Each runs the stage's own command, and finds its place in RANK, WORLD_SIZE and LOCAL_RANK. Those that were started here end with
each other and with the stage, within seconds.
"""

import logging
import os
import sys
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from worldvla.running import rank_process
from worldvla.running.ranks import LAUNCHER

GRACE_S = 5  # how long those that still run may take to end, once one has failed


def launch(count: int) -> None:
    """Run this stage's own command in ``count`` processes of this machine, and wait for them.

    Raises:
        ValueError: what one of them says, or which one died; then the others are ended too.
        KeyboardInterrupt: this stage was told to end.
    """
    main = sys.modules["__main__"]
    assert main.__spec__ is not None, "a stage is run as a module: python -m pipeline.<stage>"
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[LAUNCHER] = str(os.getpid())
    sys.stdout.flush()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        shutdown_timeout=GRACE_S,
    )
    try:
        elastic_launch(config, sys.executable)("-m", rank_process.__name__, main.__spec__.name, *sys.argv[1:])
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        raise ValueError(_reason(error.failures, count)) from None
    finally:
        del os.environ[LAUNCHER]


def _reason(failures: dict[int, Any], count: int) -> str:
    """Return why a stage of several processes ended: what one said, else which one was killed, else which one failed first."""
    for failure in failures.values():
        if os.path.isfile(failure.error_file):
            return failure.message
    number, failure = min(failures.items(), key=lambda item: (item[1].exitcode >= 0, item[1].timestamp))
    how = (
        f"was killed by {failure.signal_name()}"
        if failure.exitcode < 0
        else f"failed with {failure.exitcode}, see above"
    )
    return (
        f"process {number} of {count} {how}; expected all to run to the end, so the others were ended too; run the same command "
        "to go on from the last checkpoint"
    )
