"""Standard streams that never stop a training."""

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


class Output(io.FileIO):
    """A file descriptor that never raises: what a full disk or a reader that left does not take is dropped."""

    def write(self, content: Any, /) -> int:
        """Write or drop; return the number of bytes that are done with."""
        try:
            return super().write(content)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def never_fail_to_print() -> None:
    """Make the standard streams safe to write to; characters that the encoding lacks are escaped."""
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
