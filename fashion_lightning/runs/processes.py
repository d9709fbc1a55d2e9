"""The processes of a run, and child processes that end with the process that started them.

The parent holds one end of a pipe and writes nothing. The child has the other end as its standard input and waits for
the pipe to close, which the system does after SIGKILL, too. This is portable, unlike Linux's
``prctl(PR_SET_PDEATHSIG)``, which must be called between fork and exec.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any, Self

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables of torchrun, Lightning's own launcher and SLURM: all of them are 0 in the first process."""

LAUNCHER = (*RANKS, "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS")
"""Variables by which Lightning takes a process for one of several that train together."""

SIGNALS = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if name != "SIGHUP" or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
)
"""Signals that ask a process to end: Ctrl-C, what systemd and ``timeout`` send, what a SLURM job may ask for, and the
end of a terminal, unless ``nohup`` started the process."""

PYTHON = (sys.executable, *([] if Path.cwd() == Path(__file__).parents[2] else ["-P"]))
"""Python, not importing from the working folder, where a ``random.py`` may lie, unless that is our checkout's."""

PROGRAM = (*PYTHON, "-m", "fashion_lightning")
"""This command, as a process starts it."""

ENDS_WITH_STDIN = "FASHION_LIGHTNING_ENDS_WITH_STDIN"


def leave_launcher() -> None:
    """Make this process one of its own, whatever started it: a task of SLURM may run a whole sweep."""
    for name in LAUNCHER:
        os.environ.pop(name, None)


def is_first_process() -> bool:
    """Check whether this is the process of its run that makes folders, writes files and prints."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)


class Children:
    """Starts processes of this command that get SIGTERM when the ``with`` block or this process ends."""

    def __init__(self) -> None:
        self.their_end, self.our_end = os.pipe()  # a child inherits only the end that it is given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.our_end)
        os.close(self.their_end)

    def start(self, command: Sequence[str], environment: Mapping[str, str], **streams: Any) -> "Popen[bytes]":
        """Start a process; ``environment`` is added to that of this process."""
        variables = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
        variables |= {**environment, ENDS_WITH_STDIN: "1"}
        # In a session of its own, so that Ctrl-C reaches this process only, which hands on a single signal.
        return Popen(command, stdin=self.their_end, env=variables, start_new_session=True, **streams)


def end_with_starter() -> None:
    """End this process with the one that started it: a parent that holds ``Children``, or the launcher of a run."""
    if os.environ.pop(ENDS_WITH_STDIN, None) is not None:  # its own children do not get the variable
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    if not is_first_process():
        threading.Thread(target=_end_with_launcher, args=[os.getppid()], daemon=True).start()


def _end_with_stdin() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_launcher(launcher: int) -> None:
    """End a process that waits to be connected to the first one: half an hour, in code that no signal interrupts."""
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(10)  # by then, the lost connection has mostly ended this process, with a line of its own
    print("error: The first process of this run has ended; this one cannot go on alone.", file=sys.stderr)
    os._exit(2)
