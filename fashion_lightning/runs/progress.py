"""How far a run is, in a small file that ``fit`` keeps in the run folder: for ``repeat``, without torch."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_bounded

MAX_PROGRESS_BYTES = 4096

State = Literal["training", "finished", "interrupted", "failed", "diverged"]


@dataclass(frozen=True)
class Progress:
    """What ``progress.json`` holds."""

    epoch: int
    """Epochs trained to their end."""
    epochs: int | None
    """Epochs in all; ``None`` where only steps or time end the run."""
    step: int
    """Optimizer steps done."""
    steps: int | None
    """Optimizer steps at most, if ``max_steps`` limits them."""
    state: State
    """``diverged`` where numbers were no longer finite, ``training`` also of a run that was killed: only a run that
    trains is locked (``files/lock.py``)."""
    pid: int
    """Of the process that wrote it."""
    threads: int
    """That torch computes with, which decides the last bits of sums: a run that is continued keeps them."""

    @property
    def fraction(self) -> float:
        """Of the way to the end that the settings allow, 0 to 1; early stopping may end the run before."""
        parts = [done / whole for done, whole in ((self.epoch, self.epochs), (self.step, self.steps)) if whole]
        return min(1.0, max(parts, default=0.0))


def write_progress(run_dir: Path, progress: Progress) -> None:
    """Replace ``progress.json`` in one step.

    Not synced, as a checkpoint is: that would take longer than an epoch of a small network may. Nor does a
    training end because this cannot be written: the next checkpoint will say so.
    """
    partial = run_dir / ".progress.json.partial"
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)  # of a folder that came from elsewhere it may be another name of any file
        partial.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")
        os.replace(partial, run_dir / "progress.json")


def read_progress(run_dir: Path) -> Progress | None:
    """What a run folder says; ``None`` if it says nothing that can be understood, as those of version 0.1."""
    try:
        progress = Progress(**json.loads(read_bounded(run_dir / "progress.json", MAX_PROGRESS_BYTES)))
        whole = [progress.epoch, progress.step, progress.pid, progress.threads]
        limits = [limit for limit in (progress.epochs, progress.steps) if limit is not None]
    except (OSError, UserError, ValueError, TypeError, RecursionError):
        return None
    return progress if all(type(number) is int and number >= 0 for number in whole + limits) else None
