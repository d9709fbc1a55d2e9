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
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Self

from fashion_lightning.processes import is_first_process

PROGRAM = (sys.executable, "-m", "fashion_lightning")
"""This command, as a process starts it."""

GRACE_SECONDS = 10
"""From the end of a launcher to that of its processes."""

VARIABLE = "FASHION_LIGHTNING_ENDS_WITH_STDIN"


class Children:
    """Starts processes of this command that get SIGTERM when the ``with`` block or this process ends."""

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
    """End this process by SIGTERM when its parent is gone, if the parent is one of ``Children``."""
    if os.environ.pop(VARIABLE, None) is not None:  # not handed on to processes of its own
        _in_background(_wait_for_the_end_of_stdin)


def end_with_launcher() -> None:
    """End any but the first of a run's processes soon after the process that has started it.

    One that still waits to be connected to the first would wait for half an hour, in code that no signal interrupts.
    """
    if not is_first_process():
        launcher = os.getppid()
        _in_background(lambda: _wait_for_the_end_of(launcher))


def _wait_for_the_end_of(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(GRACE_SECONDS)  # mostly the lost connection has ended it by then, with a line
    print("error: The first process of this run has ended; this one cannot go on alone.", file=sys.stderr)
    os._exit(2)


def _wait_for_the_end_of_stdin() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _in_background(wait: Callable[[], object]) -> None:
    threading.Thread(target=wait, daemon=True).start()
