"""``progress.json``: how far a run is, for other processes to read."""

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
    """Epochs in all; ``None`` if only steps or time end the run."""
    step: int
    """Optimizer steps done."""
    steps: int | None
    """Optimizer steps at most, if ``max_steps`` limits them."""
    state: State
    """``diverged`` if numbers were no longer finite. A killed run stays ``training``, but is not locked
    (``files/lock.py``)."""
    pid: int
    """The process that wrote it."""
    threads: int
    """torch's threads. They decide the last bits of sums, so a continued run keeps their number."""

    @property
    def fraction(self) -> float:
        """The share of the run that is done, 0 to 1; early stopping may end it sooner."""
        parts = [done / whole for done, whole in ((self.epoch, self.epochs), (self.step, self.steps)) if whole]
        return min(1.0, max(parts, default=0.0))


def write_progress(run_dir: Path, progress: Progress) -> None:
    """Replace ``progress.json`` in one step.

    It is not synced: that could take longer than an epoch of a small network. Training does not end if it cannot be
    written; the next checkpoint will report the problem.
    """
    partial = run_dir / ".progress.json.partial"
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)  # of a folder that came from elsewhere it may be another name of any file
        partial.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")
        os.replace(partial, run_dir / "progress.json")


def read_progress(run_dir: Path) -> Progress | None:
    """Read ``progress.json``; ``None`` if it is missing or damaged."""
    try:
        return Progress(**json.loads(read_bounded(run_dir / "progress.json", MAX_PROGRESS_BYTES)))
    except (OSError, UserError, ValueError, TypeError, RecursionError):
        return None
