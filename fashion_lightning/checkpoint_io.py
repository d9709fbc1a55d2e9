"""Checkpoint files that are either whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from fashion_lightning.errors import UserError


class DurableCheckpointIO(TorchCheckpointIO):
    """Write beside the target, sync, rename, sync the folder.

    Lightning stages in the temporary folder and moves across file systems, so that a kill can leave a
    torn file (issue 21253), and swallows a PermissionError (issue 21800).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace ``path`` by the new checkpoint in one step; on any error the old file stays whole."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")  # one writer per run: a stale one is overwritten
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UserError(f"The checkpoint {target} cannot be written ({error.strerror}).") from error
        if hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
            folder = os.open(target.parent, os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
