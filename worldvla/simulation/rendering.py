"""Headless OpenGL: which backend MuJoCo uses, and the words to say when there is none."""

import ctypes.util
import os

SETUP = "no OpenGL library for headless rendering (libOSMesa or libEGL); run: ./run setup"


def choose_backend() -> str:
    """Set ``MUJOCO_GL`` unless the user did, and return it. Call it before mujoco is imported.

    OSMesa comes first although a GPU may be there: it renders on the CPU, so that pixels, image codes and success rates
    are the same on every machine, and it shares no context with CUDA.

    Raises:
        ValueError: neither OSMesa nor EGL is installed.
    """
    if not os.environ.get("MUJOCO_GL"):
        for library, backend in (("OSMesa", "osmesa"), ("EGL", "egl")):
            if ctypes.util.find_library(library):
                os.environ["MUJOCO_GL"] = backend
                break
        else:
            raise ValueError(SETUP)
    # llvmpipe's own threads cost more than they bring, and workers multiply them.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    return os.environ["MUJOCO_GL"]
