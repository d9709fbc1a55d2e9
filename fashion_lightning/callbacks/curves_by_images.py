"""Accuracy and loss over the images trained on, an axis that recipes with other batch sizes share."""

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.runs.tensorboard import RunLogger


def images_in_step(trainer: Trainer, batch: Batch, batch_idx: int) -> int:
    """Images of a training batch in all processes together."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if isinstance(datamodule, FashionMNISTDataModule):
        return datamodule.images_in_step(batch, batch_idx)
    return len(batch.labels) * trainer.world_size


class CurvesByImages(Callback):
    """Logs ``accuracy/train``, ``accuracy/val``, ``loss/train`` and ``loss/val`` at the number of images seen so far.

    TensorBoard's axis is one number for each point, and that of all other curves is the optimizer step. A run that
    goes on from a checkpoint that did not count images (version 0.1) has none of these curves.
    """

    def __init__(self) -> None:
        self.images: int | None = 0

    def state_dict(self) -> dict[str, Any]:
        return {"images": self.images}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.images = checkpoint["callbacks"].get(self.state_key, {}).get("images")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.images is not None and isinstance(batch, Batch):
            self.images += images_in_step(trainer, batch, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._log(trainer, "val", trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        self._log(trainer, "train", pl_module.train_metrics.compute())

    def _log(self, trainer: Trainer, part: str, metrics: Mapping[str, Tensor]) -> None:
        if self.images is None:
            return
        values = {f"{name}/{part}": metrics[f"{part}/{name}"].item() for name in ("accuracy", "loss")}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_metrics(values, step=self.images)
