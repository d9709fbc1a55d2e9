"""Set up the command's process: signals, standard streams and memory."""

import contextlib
import ctypes
import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from fashion_lightning.errors import causes
from fashion_lightning.runs.processes import SIGNALS


@contextlib.contextmanager
def exit_on_signal(to_the_end: bool) -> Iterator[None]:
    """On the first of ``SIGNALS``, exit with 128 + its number; on a second one, end the process at once.

    Args:
        to_the_end: ignore later signals, while Python shuts down. Otherwise restore the handlers.
    """
    received: list[int] = []

    def leave(signum: int, _: FrameType | None) -> NoReturn:
        if received:
            os._exit(128 + received[0])
        received.append(signum)
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, leave) for signum in SIGNALS}
    try:
        yield
    except BaseException:  # a library may have turned the SystemExit into another error
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if to_the_end else handler)


class Output(io.FileIO):
    """A file descriptor that never raises: it drops output if the disk is full or the pipe is closed."""

    def write(self, content: Any, /) -> int:
        """Write or drop the content; return the number of bytes written or dropped."""
        try:
            return super().write(content)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def never_fail_to_print() -> None:
    """Make the standard streams never raise; escape characters that the encoding lacks."""
    sys.stdout, sys.stderr = _safe(sys.stdout, 1), _safe(sys.stderr, 2)


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # the parent process closed it
        return Path(os.devnull).open("w", encoding="utf-8")
    return io.TextIOWrapper(
        io.BufferedWriter(Output(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=descriptor == 2 or stream.isatty(),
        write_through=bool(os.environ.get("PYTHONUNBUFFERED")),
    )


OUT_OF_MEMORY = (
    "There is not enough memory. Use a smaller data.batch_size or network, free memory, or raise the limit"
    " that `ulimit -v` shows."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Check whether an error or one of its causes means that memory has run out, on the CPU or on a device."""
    kinds = (OSError, ImportError, RuntimeError)
    # Messages of the loader, of Python, of torch on CPUs and GPUs, and of C++.
    signs = re.compile("failed to map segment|an(no|')t allocate memory|out of memory|bad_alloc")
    return any(
        isinstance(cause, MemoryError) or (isinstance(cause, kinds) and signs.search(str(cause)) is not None)
        for cause in causes(error)
    )


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks for the next step instead of returning them to the system.

    Activations are blocks of 5 to 50 MB. By default, glibc maps such blocks and unmaps freed ones. The kernel then
    zeroes the pages of each new block, one by one: up to 36,000 page faults and a quarter of a step's time.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD of malloc.h
        for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):
            libc.mallopt(parameter, value)
