"""Checkpoint files that are either whole or not there."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing


class DurableCheckpointIO(TorchCheckpointIO):
    """Write beside the target, sync, rename, sync the folder.

    Lightning stages in the temporary folder and moves across file systems, so that a kill can leave a
    torn file (issue 21253), and swallows a PermissionError (issue 21800).

    Args:
        content: of the checkpoint to go on from, already read and checked; the file is not opened again.
    """

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        self.content = content

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What was read of the checkpoint that the run goes on from."""
        if self.content is None:
            raise UserError(f"{path} is not the checkpoint that --ckpt_path has named.")
        return dict(self.content)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace ``path`` by the new checkpoint in one step; on any error the old file stays whole."""
        target = Path(path)
        try:
            target.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was deleted stays so
            with replacing(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise UserError(f"The checkpoint {target} cannot be written ({_reason(error)}).") from error


def _reason(error: BaseException) -> str:
    """What the system said: torch hides it behind a RuntimeError of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return str(cause.strerror) if cause is not None else str(error).splitlines()[0]
