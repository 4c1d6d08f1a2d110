"""Headless OpenGL: which backend MuJoCo uses, and the words to say when there is none."""

import ctypes.util
import os
import re

SETUP = "no OpenGL library for headless rendering (libOSMesa or libEGL); run: ./run setup"
LIBRARIES = {"osmesa": "OSMesa", "egl": "EGL"}  # by MuJoCo's name of the backend


def choose_backend() -> str:
    """Set ``MUJOCO_GL`` unless the user did, PYOPENGL_PLATFORM to the same, and return it. Call it before mujoco is imported.

    OSMesa comes first although a GPU may be there: it renders on the CPU, so that pixels, image codes and success rates
    are the same on every machine, and it shares no context with CUDA.

    Raises:
        ValueError: neither OSMesa nor EGL is installed, or the user asks for what is not.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    if asked and asked not in LIBRARIES:
        raise ValueError(f"MUJOCO_GL is '{asked}'; expected osmesa or egl, which render without a screen; unset it")
    if asked and not ctypes.util.find_library(LIBRARIES[asked]):
        raise ValueError(
            f"MUJOCO_GL is '{asked}' but lib{LIBRARIES[asked]} is not installed; unset it, or run: ./run setup"
        )
    found = [backend for backend, library in LIBRARIES.items() if ctypes.util.find_library(library)]
    if not found:
        raise ValueError(SETUP)
    os.environ["MUJOCO_GL"] = asked or found[0]
    os.environ["PYOPENGL_PLATFORM"] = os.environ["MUJOCO_GL"]  # MuJoCo refuses another one, with a traceback
    # llvmpipe's own threads cost more than they bring, and workers multiply them.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    return os.environ["MUJOCO_GL"]


def forget_hidden_gpus() -> None:
    """Drop a ``CUDA_VISIBLE_DEVICES`` that is no list of numbers: robosuite takes it for the GPU to render on, and ends.

    "" and -1 hide all GPUs, and clusters have names in it. For a simulator's own process, which computes nothing on a GPU.
    """
    if not re.fullmatch(r"\d+(,\d+)*", os.environ.get("CUDA_VISIBLE_DEVICES", "0")):
        del os.environ["CUDA_VISIBLE_DEVICES"]
