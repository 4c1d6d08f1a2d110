"""What all tests share."""

import os

# Before any test imports numpy or torch: tests run side by side with workers, each on one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
