"""``run.json``: where a run comes from, and how it went on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.runs.origin import describe, record_origin


class RecordOrigin(Callback):
    """Writes down name, note, command line, commit, versions and machine when training begins or goes on.

    Args:
        arguments: as they were typed, without the program.
        name: that the user has given the run; may be empty.
        note: the same.

    ``run_dir`` is set when the run folder is made, and ``is_new`` with it; without one, nothing is written.
    """

    def __init__(self, arguments: Sequence[str], name: str, note: str) -> None:
        self.arguments, self.name, self.note = arguments, name, note
        self.run_dir: Path | None = None
        self.is_new = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.run_dir is None or not trainer.is_global_zero:
            return
        record_origin(self.run_dir, self.of_now(trainer), None if self.is_new else trainer.global_step)

    def of_now(self, trainer: Trainer) -> dict[str, Any]:
        """Where what this Trainer does comes from."""
        device = trainer.strategy.root_device
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        return describe(self.arguments, self.name, self.note, gpu, torch.get_num_threads())
