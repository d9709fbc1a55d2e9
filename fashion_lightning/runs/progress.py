"""``progress.json``: a run's current epoch and state, for other processes to read."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json


class Progress(NamedTuple):
    """The content of ``progress.json``."""

    epoch: int
    """Completed epochs."""
    epochs: int | None
    """Epochs in all; ``None`` if only steps or time end the run."""
    step: int
    """Completed optimizer steps."""
    state: str
    """``training``, ``finished``, ``interrupted``, ``failed``; ``diverged`` if numbers were no longer finite. A killed
    run stays ``training``, but is not locked (``files/lock.py``)."""
    pid: int
    """The process that wrote it."""
    threads: int
    """The number of torch's threads, which decides the last bits of sums; a continued run keeps it."""


def write_progress(run_dir: Path, progress: Progress) -> None:
    """Replace ``progress.json``. Does not raise if that fails: the next checkpoint will report the problem."""
    with contextlib.suppress(OSError):
        write_json(run_dir / "progress.json", progress._asdict())


def read_progress(run_dir: Path) -> Progress | None:
    """Read ``progress.json``; ``None`` if it is missing or damaged."""
    content = read_json(run_dir / "progress.json")
    return Progress(**{name: content[name] for name in Progress._fields}) if {*Progress._fields} <= {*content} else None
