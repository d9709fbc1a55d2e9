"""How fast a run trains."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.curves_by_images import images_in_step
from fashion_lightning.data.batches import Batch
from fashion_lightning.runs.tensorboard import THROUGHPUT


class Throughput(Callback):
    """Logs the images that were trained on per second, once an epoch; validation does not count.

    Checkpoints hold what was counted of an epoch, whose last batch may be the one before a run was interrupted.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self._reset()

    def _reset(self) -> None:
        self.seconds, self.images = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.images = state_dict["seconds"], state_dict["images"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.since is None:
            self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.since is not None and isinstance(batch, Batch):
            now = time.perf_counter()
            self.seconds, self.since = self.seconds + now - self.since, now
            self.images += images_in_step(trainer, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.seconds:
            for logger in trainer.loggers:
                logger.log_metrics({THROUGHPUT: self.images / self.seconds}, step=trainer.global_step - 1)
        self.since = None
        self._reset()
