"""Who trains a trial: known to be gone at once where that can be seen, on the same machine and file system.

A worker holds the lock of a file in the sweep's folder while it lives, however it ends. Another one that runs on the
same kernel and finds that file without its holder knows more than any heartbeat; elsewhere, heartbeats decide.
"""

import contextlib
import os
import platform
import re
import secrets
from pathlib import Path
from typing import Any

from fashion_lightning.files.lock import is_locked, lock_for_life

FILE = re.compile(r"\.worker-[0-9a-f]{8}\.lock")


class Worker:
    """This process, as others see it.

    Args:
        folder: of the sweep. Whoever makes one must be alone in it (``files/lock.py``, ``one_at_a_time``).
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".worker-{secrets.token_hex(4)}.lock"
        lock_for_life(self.path)

    @property
    def record(self) -> dict[str, str]:
        """What a trial remembers of it."""
        return {"machine": _machine(), "lock": self.path.name}

    def knows_gone(self, record: Any) -> bool:
        """Whether the worker of a record has ended, for certain."""
        return record != self.record and _is_gone(self.path.parent, record)

    def leave(self) -> None:
        """Be no longer one: no trial is left that remembers it."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def _is_gone(folder: Path, record: Any) -> bool:
    if os.name == "nt" or not isinstance(record, dict) or record.get("machine") != _machine():
        return False  # nothing is locked on Windows
    name = record.get("lock")
    if not isinstance(name, str) or not FILE.fullmatch(name):  # a database decides no places
        return False
    path = folder / name
    return path.is_file() and not is_locked(path)


def sweep_up(folder: Path) -> None:
    """Remove the files of workers that are gone, once no trial is theirs; the same caution as for making one."""
    for path in folder.glob(".worker-*.lock"):
        if FILE.fullmatch(path.name) and not is_locked(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _machine() -> str:
    """The running kernel: two containers on it see each other's locks, two machines of one name do not."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node()  # not Linux
