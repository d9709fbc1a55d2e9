"""Write logged points to the event file before each checkpoint."""

from typing import Any

from lightning import Callback, LightningModule, Trainer


class FlushCurves(Callback):
    """Flushes the loggers before each checkpoint.

    TensorBoard's writer keeps points in memory for up to two minutes. A kill would lose the points before the
    checkpoint, and the continued run does not log them again.
    """

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for logger in trainer.loggers:
            logger.save()
