"""Measure the training's images per second."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from fashion_lightning.runs.tensorboard import THROUGHPUT


class Throughput(Callback):
    """Logs images per second of each epoch (or of its part after a resume), over all processes, without validation."""

    def __init__(self) -> None:
        self.images, self.seconds = 0, 0.0
        self.since: float | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.since = self.since or time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - (self.since or now), now
        self.images += trainer.datamodule.images_in_step(batch, batch_idx)  # type: ignore[attr-defined]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.seconds:
            speed = self.images / self.seconds
            pl_module.log(THROUGHPUT, speed, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics({THROUGHPUT: speed}, step=trainer.global_step - 1)
        self.images, self.seconds, self.since = 0, 0.0, None
