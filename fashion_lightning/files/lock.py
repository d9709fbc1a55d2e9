"""One process trains a run at a time, and what a process has begun is its own while it lives."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.processes import is_first_process

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int] = {}
"""File descriptors, never closed: closing would unlock."""


def lock_run(run_dir: Path) -> None:
    """Lock a run folder until this process ends, however it ends.

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
    """Whether another process has locked a run folder."""
    return is_locked(run_dir / ".lock")


def is_locked(path: Path) -> bool:
    """Whether another process has locked a file with ``lock_for_life``."""
    path = path.resolve()
    if fcntl is None or path in _held:  # closing the file would give up the lock of this process
        return False
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def lock_for_life(path: Path) -> bool:
    """Lock a file until this process ends; ``False`` if another process holds it.

    A record lock belongs to the process and not to the file: a kill leaves none behind, and loader
    processes do not inherit it.
    """
    path = path.resolve()
    if fcntl is None or path in _held:
        return True
    file = os.open(path, os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _held[path] = file
    return True


def lock_file(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed or its process ends; waits for whoever holds it.

    Returns:
        Whether it is still there: ``False`` if another process took it for one that a kill had left.
    """
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def remove_if_abandoned(path: Path) -> None:
    """Remove a file or folder that a process had made and locked, if that process is gone."""
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
