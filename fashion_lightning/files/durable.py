"""Files that are either whole or not there, whenever the process is killed."""

import contextlib
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fashion_lightning.files.lock import lock_file, remove_if_abandoned


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place, sync it, and put it there in one step; on any error the old one stays.

    Each process writes a file of its own, and removes what processes that were killed have left.

    Args:
        path: the file to make or to replace.

    Yields:
        The open file to write to.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}*.partial"):
        remove_if_abandoned(left)
    file, partial = _own_partial(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk is met in a write, which knows no name
        raise
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _own_partial(path: Path) -> tuple[IO[bytes], Path]:
    """A new file beside ``path``, locked while it is open, so that other processes leave it alone."""
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        file = partial.open("wb")
        if lock_file(file.fileno()):
            return file, partial
        file.close()
