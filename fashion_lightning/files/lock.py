"""Locks between processes: one process trains a run, and a file belongs to the process that writes it.

A kill leaves no lock behind.
"""

import contextlib
import errno
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.processes import is_first_process

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int] = {}
"""File descriptors that are never closed: closing would unlock."""

HELD = (errno.EACCES, errno.EAGAIN)
"""Errors that mean that another process holds a lock; others mean that the file system has none."""


def lock_run(run_dir: Path) -> None:
    """Lock a run folder until this process ends.

    Raises:
        UserError: another process trains this run.
    """
    if not is_first_process():
        return  # the other processes of a run belong to the one that holds the lock
    if not lock_for_life(run_dir / ".lock"):
        raise UserError(
            f"{run_dir} is being trained by another process. Wait for it or stop it; a run of its own:"
            " fashion-lightning fit"
        )


def lock_recipe(folder: Path) -> None:
    """Lock the folder of a recipe's runs until this process ends: two would train every seed twice.

    Raises:
        UserError: another process repeats this recipe.
    """
    if not lock_for_life(folder / ".repeat.lock"):
        raise UserError(
            f"Another repeat of {folder.name} runs, in {folder}. Wait for it or stop it; the same command then goes on."
        )


def is_being_trained(run_dir: Path) -> bool:
    """Return whether another process has locked a run folder."""
    path = (run_dir / ".lock").resolve()
    if fcntl is None or path in _held:  # closing the file would give up the lock of this process
        return False
    try:
        with path.open("rb+") as file:
            if sys.platform == "linux":  # asks without locking: a fit that starts at this moment is not refused
                question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # struct flock
                kind: int = struct.unpack_from("h", fcntl.fcntl(file, fcntl.F_GETLK, question))[0]
                return kind != fcntl.F_UNLCK
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in HELD
    return False


def lock_for_life(path: Path) -> bool:
    """Lock a file until this process ends; return ``False`` if another process holds it.

    A record lock belongs to the process, not to the file: child processes do not inherit it.
    """
    path = path.resolve()
    if fcntl is None or path in _held:
        return True
    file = os.open(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            os.close(file)
            return False
        where = f"Nothing can be locked in {path.parent} ({error.strerror})"
        print(f"{where}: do not start a second fit of this run.", flush=True)
    _held[path] = file
    return True


def lock_file(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; waits for the process that holds it.

    Returns:
        Whether it still exists: ``False`` if another process removed it as abandoned.
    """
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def remove_if_abandoned(path: Path) -> None:
    """Remove a file or folder that a process made and locked, if that process is gone."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # it is locked, or may not be removed
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for this folder."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_file(descriptor)
        yield
    finally:
        os.close(descriptor)
