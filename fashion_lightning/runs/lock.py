"""One process trains a run at a time."""

import os
from pathlib import Path

from fashion_lightning.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: runs are not locked there
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int] = {}
"""File descriptors, never closed: closing would unlock."""


def lock_run(run_dir: Path) -> None:
    """Lock a run folder until this process ends, however it ends.

    A record lock belongs to the process and not to the file: a kill leaves none behind, and loader
    processes do not inherit it.

    Raises:
        UserError: another process trains this run.
    """
    path = (run_dir / ".lock").resolve()
    if fcntl is None or path in _held or int(os.environ.get("LOCAL_RANK", "0")) > 0:
        return  # the other processes of a run come after the one that holds the lock
    file = os.open(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise UserError(
            f"{run_dir} is being trained by another process. Wait for it or stop it; a run of its own:"
            " fashion-lightning fit"
        ) from error
    _held[path] = file
