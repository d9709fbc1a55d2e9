"""Which of a run's processes this one is, before any of them is connected: by what their launcher has set."""

import os
import signal

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Of torchrun, of Lightning's own launcher and of SLURM: all of them are 0 in the first process."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Those that ask a process to end: Ctrl-C, and what systemd, SLURM and ``timeout`` send."""


def is_first_process() -> bool:
    """Whether this is the only process of its run or the one that makes folders, writes files and prints."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)
