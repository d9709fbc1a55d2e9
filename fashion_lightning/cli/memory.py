"""Memory: keeping what is freed for the next step, and saying in one line that there is not enough."""

import ctypes
import re
import sys

from fashion_lightning.errors import causes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h; see ``man mallopt``."""

OUT_OF_MEMORY = (
    "There is not enough memory. Make something smaller: data.batch_size or the network; or free memory, and raise a"
    " limit that `ulimit -v` shows."
)

SIGNS = re.compile("failed to map segment|an(no|')t allocate memory|out of memory|bad_alloc")
"""Messages of the loader, of Python, of torch on CPUs and GPUs, and of C++."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that it came from, means that memory has run out, on the CPU or on a device."""
    kinds = (OSError, ImportError, RuntimeError)
    return any(
        isinstance(cause, MemoryError) or (isinstance(cause, kinds) and SIGNS.search(str(cause)) is not None)
        for cause in causes(error)
    )


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next step instead of giving them back to the system.

    Activations are blocks of 5 to 50 MB. By default glibc maps such blocks and unmaps them when they are freed, and the
    kernel zeroes their pages anew, one by one: up to 36,000 page faults and a quarter of a step's time. Nothing is
    changed without glibc.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)
