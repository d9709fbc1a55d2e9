"""Memory: keeping what is freed for the next step, and saying in one line that there is not enough."""

import ctypes
import errno
import re
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h; see ``man mallopt``."""

OUT_OF_MEMORY = (
    "There is not enough memory. Make something smaller: data.batch_size or the network; or free"
    " memory, and raise a limit that `ulimit -v` shows."
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, means that memory has run out, on the CPU or on a device."""
    while error is not None:
        message = str(error)
        if (
            isinstance(error, MemoryError)
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (isinstance(error, ImportError) and re.search("failed to map segment|annot allocate memory", message))
            or (isinstance(error, RuntimeError) and re.search("an't allocate memory|out of memory|bad_alloc", message))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next step instead of giving them back to the system.

    Activations are blocks of 5 to 50 MB. By default glibc maps such blocks and unmaps them when they
    are freed, and the kernel hands out their pages anew, zeroed one by one: up to 36,000 page faults
    and a quarter of a step's time. What a process has needed once, it keeps until its end. Elsewhere
    than with glibc nothing is changed.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)
