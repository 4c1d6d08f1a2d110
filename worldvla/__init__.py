"""WorldVLA, reproduced: ``from worldvla import Policy, WorldModel`` loads what the pipeline has trained."""

import importlib
from typing import Any

PUBLIC = ("Policy", "WorldModel")  # of worldvla.api


def __getattr__(name: str) -> Any:
    """Import torch for the public names alone: the simulators' processes and the params need none of it.

    By name, so that nothing that imports this package depends on the models' code.
    """
    if name in PUBLIC:
        return getattr(importlib.import_module("worldvla.api"), name)
    raise AttributeError(f"module 'worldvla' has no attribute '{name}'")
