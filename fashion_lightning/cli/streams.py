"""Standard streams that never stop a training."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


class Output(io.FileIO):
    """A file descriptor that never raises: what cannot be written is dropped, and the work goes on."""

    failure: OSError | None = None
    """Why something was dropped, unless the reader had left (``fit | head -1``)."""

    def write(self, content: Any, /) -> int:
        """Write or drop; return the number of bytes that are done with."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def never_fail_to_print() -> None:
    """Make the standard streams safe to write to until the process ends.

    A full disk or a reader that has left does not stop the program. Characters that the encoding lacks are escaped.
    """
    if os.name != "nt":  # a Windows console takes text, not bytes
        sys.stdout, sys.stderr = _safe(sys.stdout, 1), _safe(sys.stderr, 2)


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # closed by whoever started the program
        return Path(os.devnull).open("w", encoding="utf-8")
    return io.TextIOWrapper(
        io.BufferedWriter(Output(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=descriptor == 2 or stream.isatty(),
        write_through=bool(os.environ.get("PYTHONUNBUFFERED")),
    )


def lost_output() -> str:
    """Return why a part of what was printed is lost; nothing if all was written, or nobody read on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.flush()
            output = getattr(stream.buffer, "raw", None)
            if isinstance(output, Output) and output.failure is not None:
                return str(output.failure.strerror)
    return ""
