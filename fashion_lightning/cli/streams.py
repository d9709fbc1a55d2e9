"""The process's standard streams and environment: nothing about them may stop a training."""

import codecs
import errno
import io
import os
import sys
import warnings
from typing import Any, TextIO

from fashion_lightning.errors import UserError

RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_PORT", "SLURM_PROCID", "SLURM_LOCALID")
"""Environment variables that Lightning reads whole numbers from."""

PLAIN = {"…": "...", "±": "+-", "×": "x", "–": "-", "→": "->"}
"""Characters of our own output, as they are printed where only ASCII can be."""


class Output(io.FileIO):
    """A file descriptor that never raises: what cannot be written is dropped, and the work goes on."""

    failure: OSError | None = None
    """Why something was dropped, unless the reader had left (``fit | head -1``)."""

    def write(self, content: Any, /) -> int:
        """Write or drop; the number of bytes that are done with."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def prepare_process() -> None:
    """Make the standard streams safe to write to, and keep warnings from being errors, until the process ends.

    Closed descriptors become ``/dev/null``, so that no file of ours is opened in their place. Characters that the
    encoding lacks, and bytes of file names that are no text, are written in ASCII.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest free descriptor is given out, which is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    codecs.register_error("fashion_lightning", _in_ascii)
    if os.name != "nt":  # a Windows console takes text, not bytes
        sys.stdout, sys.stderr = _safe(sys.stdout, 1), _safe(sys.stderr, 2)
    if any(option.startswith("error") for option in sys.warnoptions):
        _warn_as_by_default()


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    """A stream like the one that Python has made, or in place of the one that it has not."""
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Output(descriptor, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="fashion_lightning",
        line_buffering=descriptor == 2 or getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """A handler of encoding errors, as the ``codecs`` module describes them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in missing), error.end


def _warn_as_by_default() -> None:
    """With ``PYTHONWARNINGS=error`` torch and Lightning could not even be imported."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def lost_output() -> str:
    """Why a part of what was printed is lost; nothing if all was written, or nobody read on."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        output = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(output, Output) and output.failure is not None:
            return str(output.failure.strerror)
    return ""


def check_environment() -> None:
    """Refuse environment variables that Lightning would end in a traceback with.

    Raises:
        UserError: naming the first that is no whole number.
    """
    for name in RANKS:
        value = os.environ.get(name, "0")
        if not value.strip().isdecimal():
            raise UserError(
                f"The environment variable {name} must be a whole number, not {value!r}; a run of one process needs"
                f" none: unset {name}"
            )
