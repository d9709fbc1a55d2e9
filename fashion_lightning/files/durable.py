"""Write files so that a kill leaves either the old or the new one, never half of one; check those that a user names."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fashion_lightning.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place, sync it, and put it there in one step; on any error the old file stays.

    Each process writes a file of its own. What a killed fit left half written is removed when the run goes on
    (``lock_run``).
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk is met in a write, which knows no name
        raise
    folder = os.open(path.parent, os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # some network file systems sync no folders
            raise
    finally:
        os.close(folder)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write or replace a JSON file in one step."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def output_file(option: str, given: str, *suffixes: str) -> Path:
    """Check that the file that an option names can be written, and ends in one of ``suffixes``.

    Raises:
        UserError: nothing can be written there, or it is named as another kind of file.
    """
    try:
        path = Path(given).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
        parent = next((folder for folder in path.absolute().parents if folder.exists()), None)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, an unknown ~user
        raise UserError(f"{option} {given!r} cannot be used ({error}).") from error
    if is_folder or not given.strip():
        raise UserError(f"{option} needs the name of a file, not of a folder: {given!r}.")
    if not exists and parent is not None and not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise UserError(f"{option} {given} cannot be written: {parent} takes no new file.")
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} must end in {' or '.join(suffixes)}, not {path.name!r}.")
    return path


def write_output(path: Path, content: bytes) -> None:
    """Replace a regular file in one step, or the file that a symbolic link names; write to a device or a pipe."""
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        with path.open("wb") as device:
            device.write(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.resolve()) as file:
        file.write(content)
