"""Memory of a training, kept between its steps."""

import ctypes
import sys

# glibc's names of what it can be told (malloc.h), and a size that no tensor of a CPU's training reaches.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGE = 1 << 30
SAFE = 32 << 20  # the largest mmap threshold that every version takes


def keep_memory() -> None:
    """Let the allocator keep what is freed, instead of giving it back to the system and faulting it in at the next step.

    A step allocates and frees the same hundreds of megabytes: a seventh of its time went into page faults. Nothing where the
    C library is not glibc. Results do not change.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl
        return
    # The threshold of mmap first: any other option ends its growing by itself.
    if mallopt(M_MMAP_THRESHOLD, LARGE) or mallopt(M_MMAP_THRESHOLD, SAFE):
        mallopt(M_TRIM_THRESHOLD, LARGE)
        mallopt(M_TOP_PAD, LARGE >> 4)
