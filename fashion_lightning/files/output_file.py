"""Files that a user names: checked before any work is done, and replaced in one step."""

import os
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing


def output_file(option: str, given: str) -> Path:
    """Check that the file that an option names can be written.

    Raises:
        UserError: nothing can be written there.
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
