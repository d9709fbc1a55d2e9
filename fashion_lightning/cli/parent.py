"""A process that ends when the one that started it does, however that ends.

The parent holds the one end of a pipe and writes nothing; the child has the other end as its standard
input and waits for the pipe to close, which the system does also after SIGKILL. Portable, unlike Linux's
``prctl(PR_SET_PDEATHSIG)``, which besides would have to be called between fork and exec.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Self

PROGRAM = (sys.executable, "-m", "fashion_lightning")
"""This command, as a process starts it."""

VARIABLE = "FASHION_LIGHTNING_ENDS_WITH_STDIN"


class Children:
    """Starts processes of this command that get SIGTERM when the ``with`` block or this process ends, if they live."""

    def __init__(self) -> None:
        self.their_end, self.our_end = os.pipe()  # neither is inherited unless it is asked for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.our_end)
        os.close(self.their_end)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: int | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start one; ``environment`` is added to that of this process."""
        return subprocess.Popen(
            command,
            stdin=self.their_end,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(environment or {}), VARIABLE: "1"},
            start_new_session=True,  # Ctrl-C reaches this process only, which hands on a single signal
        )


def end_with_parent() -> None:
    """In the child: from now on, SIGTERM when the parent is gone. Without such a parent, nothing."""
    if os.environ.pop(VARIABLE, None) is None:  # not handed on to processes of its own
        return

    def wait() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
