"""matplotlib as every figure here needs it: drawing into files, whatever the environment asks for."""

import os

# Before matplotlib is imported: a notebook's own backend (MPLBACKEND), which is not installed here, would end the import.
os.environ["MPLBACKEND"] = "Agg"

import matplotlib.pyplot as plt
from matplotlib import get_data_path
from matplotlib.axes import Axes

__all__ = ["Axes", "get_data_path", "plt"]
