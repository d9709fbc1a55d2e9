"""``progress.json``: how far a run is, for other processes to read."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json


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
    """Replace ``progress.json``. Training does not end if that fails; the next checkpoint will report the problem."""
    with contextlib.suppress(OSError):
        write_json(run_dir / "progress.json", progress._asdict())


def read_progress(run_dir: Path) -> Progress | None:
    """Read ``progress.json``; ``None`` if it is missing or damaged."""
    content = read_json(run_dir / "progress.json")
    fields = set(Progress._fields)
    return Progress(**{name: content[name] for name in fields}) if fields <= content.keys() else None
