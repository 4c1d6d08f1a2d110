"""Notes each step of an optimizer, and each time that a stage's output is put in its place, for ``benchmarks.kills``.

Python imports a module of this name by itself if its folder is in PYTHONPATH: the stages are watched without a line of
theirs being changed. In the file that WORLDVLA_KILLS_NOTES names it leaves lines of a process, what ``--out`` says, and
``step`` or ``written``. Each is one write to the end of the file, so that a SIGKILL loses none.
"""

import os
import sys

NOTES = "WORLDVLA_KILLS_NOTES"


def watch(path: str, out: str) -> None:
    """Note what this process does from now on."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    hooked = False

    def note(what: str) -> None:
        os.write(file, f"{os.getpid()} {out} {what}\n".encode())

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal hooked
        if event == "os.rename" and os.path.relpath(str(arguments[1])) == out:
            note("written")
        elif event == "open" and not hooked:
            # Not imported here: what a stage sets before it imports torch must come first, as without us.
            optimizers = sys.modules.get("torch.optim.optimizer")
            if register := getattr(optimizers, "register_optimizer_step_post_hook", None):
                hooked = True
                register(lambda *_: note("step"))

    sys.addaudithook(hear)


if NOTES in os.environ and "--out" in sys.orig_argv and any(word.startswith("pipeline.") for word in sys.orig_argv):
    watch(os.environ[NOTES], os.path.normpath(sys.orig_argv[sys.orig_argv.index("--out") + 1]))
