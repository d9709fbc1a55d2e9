"""Identify the processes of a run; start child processes that end together with their parent.

The parent holds one end of a pipe and writes nothing. The child has the other end as its standard input and waits for
the pipe to close, which happens even after SIGKILL. This is portable, unlike Linux's
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
"""Variables of torchrun, Lightning's launcher and SLURM; those that are set are 0 in the first process."""

LAUNCHER = (*RANKS, "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS")
"""Variables by which Lightning recognizes one of several processes that train together."""

SIGNALS = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if name != "SIGHUP" or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
)
"""Signals that ask a process to end: SIGINT (Ctrl-C), SIGTERM (systemd, ``timeout``), SIGUSR1 (SLURM, if the job asks
for it) and SIGHUP (a closed terminal, unless ``nohup`` started the process)."""

PYTHON = (sys.executable, *([] if Path().samefile(Path(__file__).parents[2]) else ["-P"]))
"""Python; imports from the working folder only if that is our checkout: another folder may hold a ``random.py``."""

PROGRAM = (*PYTHON, "-m", "fashion_lightning")
"""The command line that starts this program in a child process."""

ENDS_WITH_STDIN = "FASHION_LIGHTNING_ENDS_WITH_STDIN"


def leave_launcher() -> None:
    """Forget a launcher's variables, so that Lightning sees a single process: a SLURM task may run a whole sweep."""
    for name in LAUNCHER:
        os.environ.pop(name, None)


def is_first_process() -> bool:
    """Check whether this is the first process of its run, which makes folders, writes files and prints."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)


class Children:
    """Starts child processes that get SIGTERM when the ``with`` block or this process ends."""

    def __init__(self) -> None:
        self.their_end, self.our_end = os.pipe()  # a child gets only its own end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.our_end)
        os.close(self.their_end)

    def start(self, command: Sequence[str], environment: Mapping[str, str], **streams: Any) -> "Popen[bytes]":
        """Start a child process; ``environment`` is added to this process's variables."""
        variables = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
        variables |= {**environment, ENDS_WITH_STDIN: "1"}
        # In its own session, so that Ctrl-C reaches only this process, which passes on a single signal.
        return Popen(command, stdin=self.their_end, env=variables, start_new_session=True, **streams)


def end_with_starter() -> None:
    """End this process when its starter ends: a parent that holds ``Children``, or the launcher of a run."""
    if os.environ.pop(ENDS_WITH_STDIN, None) is not None:  # popped, so that its children do not get the variable
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    if not is_first_process():
        threading.Thread(target=_end_with_launcher, args=[os.getppid()], daemon=True).start()


def _end_with_stdin() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_launcher(launcher: int) -> None:
    """End this process after its launcher ends, even in the half-hour wait for rank 0, which no signal interrupts."""
    while os.getppid() == launcher:
        time.sleep(1)
    time.sleep(10)  # usually the lost connection ends this process meanwhile, with its own message
    print("error: The first process of this run has ended; this one cannot go on alone.", file=sys.stderr)
    os._exit(2)
