"""Write checkpoints durably, and hand Lightning the one that was read and checked."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from fashion_lightning.errors import UserError, os_error_behind
from fashion_lightning.files.durable import replacing


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, renames, and syncs the folder.

    Lightning stages in the temporary folder and moves across file systems, so that a kill can leave a
    torn file (issue 21253), and swallows a PermissionError (issue 21800).

    Args:
        content: the checkpoint to continue from, read and checked; the file is not opened again.
    """

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        self.content = content

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the content of the checkpoint that the run continues from."""
        if not self.content:
            raise UserError(f"{path} is not the checkpoint that --ckpt_path has named.")
        return dict(self.content)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace ``path`` in one step; on any error the old file stays whole."""
        target = Path(path)
        try:
            target.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was deleted stays so
            with replacing(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            cause = os_error_behind(error)
            reason = str(error).splitlines()[0] if cause is None else cause.strerror
            raise UserError(f"The checkpoint {target} cannot be written ({reason}).") from error
