"""Write files so that a kill leaves the old or the new one, never half of it; check output paths that a user gives."""

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
    """Write to a temporary file in the same folder, sync it, and rename it to ``path``; an error keeps the old file.

    Each process has its own temporary file; ``lock_run`` removes those that a killed fit left.
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
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(path)  # a write to a full disk fails without a file name
        raise
    folder = os.open(path.parent, os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # some network file systems cannot sync folders
            raise
    finally:
        os.close(folder)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write or replace a JSON file in one step."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def output_file(option: str, given: str, *suffixes: str) -> Path:
    """Return the path given for an option, checked to be writable and to end in one of ``suffixes``.

    Raises:
        UserError: it cannot be written, or has another suffix.
    """
    try:
        path = Path(given).expanduser()
        exists = path.exists()
        parent = next((folder for folder in path.resolve().parents if folder.exists()), None)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, an unknown ~user
        raise UserError(f"{option} {given!r} cannot be used ({error}).") from error
    if (exists and not path.is_file()) or not given.strip():
        raise UserError(f"{option} needs the name of a file, not of a folder, pipe or device: {given!r}.")
    if parent is not None and not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise UserError(f"{option} {given} cannot be written: no file can be created in {parent}.")
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} must end in {' or '.join(suffixes)}, not {path.name!r}.")
    return path


def write_output(path: Path, content: bytes) -> None:
    """Replace a file in one step, following a symbolic link."""
    path.resolve().parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.resolve()) as file:
        file.write(content)
