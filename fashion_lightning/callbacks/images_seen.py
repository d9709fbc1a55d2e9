"""Curves over the number of images trained on, and how many images a second that were."""

import time
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.runs.tensorboard import THROUGHPUT, RunLogger


class ImagesSeen(Callback):
    """Counts the images trained on in all processes, and the seconds that this took in an epoch.

    Logs ``accuracy/train``, ``accuracy/val``, ``loss/train`` and ``loss/val`` at the number of images seen so far, an
    axis that recipes with other batch sizes share: TensorBoard has one axis, and all other curves are over optimizer
    steps. Logs images per second once an epoch, without the time of validation.
    """

    def __init__(self) -> None:
        self.images, self.at_start_of_epoch, self.seconds = 0, 0, 0.0
        self.since: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"images": self.images, "at_start_of_epoch": self.at_start_of_epoch, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        names = ("images", "at_start_of_epoch", "seconds")
        self.images, self.at_start_of_epoch, self.seconds = (state_dict[name] for name in names)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.since is None:
            self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.since is not None and isinstance(batch, Batch):
            now = time.perf_counter()
            self.seconds, self.since = self.seconds + now - self.since, now
            datamodule = trainer.datamodule  # type: ignore[attr-defined]
            ours = isinstance(datamodule, FashionMNISTDataModule)
            in_all = datamodule.images_in_step(batch, batch_idx) if ours else len(batch.labels) * trainer.world_size
            self.images += in_all

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._log(trainer, "val", trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        self._log(trainer, "train", pl_module.train_metrics.compute())
        if self.seconds:
            speed = (self.images - self.at_start_of_epoch) / self.seconds
            pl_module.log(THROUGHPUT, speed, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics({THROUGHPUT: speed}, step=trainer.global_step - 1)
        self.at_start_of_epoch, self.seconds, self.since = self.images, 0.0, None

    def _log(self, trainer: Trainer, part: str, metrics: Mapping[str, Tensor]) -> None:
        values = {f"{name}/{part}": metrics[f"{part}/{name}"].item() for name in ("accuracy", "loss")}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_metrics(values, step=self.images)
