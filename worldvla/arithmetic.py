"""What makes the arithmetic of a process the same on every machine, with any number of cores."""

import platform

# A linear-algebra library chooses its kernels by the machine, and their sums differ in the last bits, from which a
# simulation grows another episode. These kernels run on every x86-64 with AVX2, and none is faster on 7 by 7 matrices.
# What else a machine may choose (numpy's loops, numba's code, llvmpipe's vectors) gives the same bits: tested.
SAME_ARITHMETIC = {"OPENBLAS_CORETYPE": "Haswell"} if platform.machine() in ("x86_64", "AMD64") else {}
# One thread: two processes with two threads each on two cores run ten times slower than with one.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"), "1")
ENVIRONMENT = {**ONE_THREAD, **SAME_ARITHMETIC}  # of a process that does units of work, before it loads a library
