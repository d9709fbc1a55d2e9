"""What a checkpoint counts as done is in the event file."""

from typing import Any

from lightning import Callback, LightningModule, Trainer


class FlushCurves(Callback):
    """Writes out what the loggers hold back before each checkpoint is written.

    TensorBoard's writer keeps points in memory for up to two minutes. A kill would lose those before
    the checkpoint, and the continued run does not log them again.
    """

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for logger in trainer.loggers:
            logger.save()
