"""What all tests share."""

import os

from worldvla.workers import SAME_ARITHMETIC

# Before any test imports numpy or torch: tests run side by side with workers, each on one core, and compare a simulation
# in their own process with one in a worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(SAME_ARITHMETIC)
