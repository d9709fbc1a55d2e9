"""Let one process at a time train a run, repeat a recipe or fetch data. A kill leaves no lock behind."""

import contextlib
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from fashion_lightning.errors import UserError

_held: dict[Path, int] = {}
"""Open file descriptors of locked files; closing one would unlock its file."""

HELD = (errno.EACCES, errno.EAGAIN)
"""Errors that mean that another process holds the lock; any other means that the file system has no locks."""


def lock_run(run_dir: Path) -> None:
    """Lock a run folder until this process ends, and remove temporary files that a kill left.

    If several processes train a run, only rank 0 calls this.

    Raises:
        UserError: another process trains this run.
    """
    if not lock_for_life(run_dir / ".lock"):
        raise UserError(
            f"{run_dir} is being trained by another process. Wait for it, stop it, or start another run:"
            " fashion-lightning fit"
        )
    for half_written in run_dir.rglob(".*.partial"):
        half_written.unlink()


def is_being_trained(run_dir: Path) -> bool:
    """Return whether another process has locked a run folder."""
    path = (run_dir / ".lock").resolve()
    if path in _held:  # closing the file below would release this process's lock
        return False
    try:
        with path.open("rb") as file:
            if sys.platform == "linux":  # ask without locking, so that a fit that starts now is not refused
                question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # struct flock
                return bool(struct.unpack_from("h", fcntl.fcntl(file, fcntl.F_GETLK, question))[0] != fcntl.F_UNLCK)
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in HELD
    return False


def lock_for_life(path: Path) -> bool:
    """Lock a file until this process ends; return ``False`` if another process holds it.

    A record lock belongs to the process, not to the file: child processes do not inherit it.
    """
    path = path.resolve()
    if path in _held:
        return True
    file = os.open(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            os.close(file)
            return False
        print(f"Cannot lock files in {path.parent} ({error.strerror}): start no second fit there.", flush=True)
    _held[path] = file
    return True


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a folder's lock within the block; wait while another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
