"""Keeping freed memory, which every training step asks for again."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h; see ``man mallopt``."""


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
