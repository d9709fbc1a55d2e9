"""``progress.json``: how far a run is, for other processes to read."""

import contextlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from fashion_lightning.files.bounded_yaml import read_json


class Progress(NamedTuple):
    """What ``progress.json`` holds."""

    epoch: int
    """Epochs trained to their end."""
    epochs: int | None
    """Epochs in all; ``None`` if only steps or time end the run."""
    step: int
    """Optimizer steps done."""
    state: str
    """``training``, ``finished``, ``interrupted``, ``failed``; ``diverged`` if numbers were no longer finite. A killed
    run stays ``training``, but is not locked (``files/lock.py``)."""
    pid: int
    """The process that wrote it."""
    threads: int
    """torch's threads. They decide the last bits of sums, so a continued run keeps their number."""


def write_progress(run_dir: Path, progress: Progress) -> None:
    """Replace ``progress.json`` in one step.

    It is not synced: that could take longer than an epoch of a small network. Training does not end if it cannot be
    written; the next checkpoint will report the problem.
    """
    partial = run_dir / ".progress.json.partial"
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)  # of a folder that came from elsewhere it may be another name of any file
        partial.write_text(json.dumps(progress._asdict()) + "\n", encoding="utf-8")
        os.replace(partial, run_dir / "progress.json")


def read_progress(run_dir: Path) -> Progress | None:
    """Read ``progress.json``; ``None`` if it is missing or damaged."""
    content = read_json(run_dir / "progress.json")
    fields = set(Progress._fields)
    return Progress(**{name: content[name] for name in fields}) if fields <= content.keys() else None
