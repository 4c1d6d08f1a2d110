"""How a stage talks to a person: flags, progress, and errors of one sentence."""

import argparse
import inspect
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from worldvla.files import FULL_DISK
from worldvla.running import environment, ranks, watching
from worldvla.running.unfinished import sweep
from worldvla.stage_code import check_listed

LOG_EVERY_S = 30  # off a terminal a bar is a log line, this far apart


class Progress(tqdm):
    """A tqdm bar on a terminal; elsewhere one log line every 30 s and one at the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        interval = 0.2 if sys.stderr.isatty() else LOG_EVERY_S
        super().__init__(*args, mininterval=interval, maxinterval=interval, dynamic_ncols=True, **kwargs)

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Return the function that shows one state of the bar."""
        if file.isatty():
            return tqdm.status_printer(file)

        def log(line: str) -> None:
            if line.strip():
                print(line.strip(), file=file, flush=True)

        return log


def run(main: Callable[..., None]) -> NoReturn:
    """Run a stage's ``main`` with its keyword arguments as flags, and exit.

    Every keyword argument of ``main`` is a ``Path`` or a ``str`` and becomes ``--its-name``. Bad input, a full disk and
    an interruption end in one sentence on stderr and an exit code that is not 0.
    """
    parser = argparse.ArgumentParser(description=inspect.getdoc(main))
    for name, parameter in inspect.signature(main).parameters.items():
        flag = "--" + name.replace("_", "-")
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(flag, type=parameter.annotation, required=required, default=parameter.default)
    arguments = vars(parser.parse_args())
    stage = Path(inspect.getfile(main)).stem
    started = time.monotonic()
    last_words = f"{stage}: interrupted; no output is half-written. Run the same command to continue."
    rank = ranks.rank()
    if rank is not None:
        ranks.let_the_first_speak()
        last_words = last_words if ranks.LAUNCHER not in os.environ else ""  # what started it says them
    with watching.watched(last_words) as watch:
        try:
            environment.check()
            if watching.DVC_STAGE in os.environ and rank is None:
                check_listed(stage)
            if (
                watching.RUNNER not in os.environ and rank is None
            ):  # the runner itself does, when nothing writes dvc.lock
                sweep()
            main(**arguments)
        except (KeyboardInterrupt, Exception) as error:
            # Told to end, its workers may end first, and it fails for want of them.
            if isinstance(error, KeyboardInterrupt) or watch.told_at is not None:
                watch.say()
                sys.exit(130)
            if isinstance(error, ValueError):
                sentence = str(error)
            elif isinstance(error, OSError) and error.errno in FULL_DISK:
                sentence = "the disk is full; no output is half-written. Free some space and run the same command."
            elif ranks.has_lost_others(error):
                if ranks.LAUNCHER in os.environ:
                    sys.exit(1)  # what started it knows why
                sentence = f"lost another process ({str(error).splitlines()[0]}); start all again to go on from the last checkpoint"
            else:
                raise
            if rank is not None:
                ranks.end(stage, sentence)
            sys.exit(f"{stage}: {sentence}")
    if rank is not None and ranks.LAUNCHER in os.environ:
        sys.exit(0)
    print(f"{stage}: finished in {time.monotonic() - started:.0f} s")
    sys.exit(0)
