"""Record the losses by which the DataModule leaves out easy images."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.data.pruning import ImageLosses


class PruneEasyImages(Callback):
    """With ``data.prune``, records each image's loss when last shown, also in checkpoints; otherwise does nothing."""

    def __init__(self) -> None:
        self.losses: ImageLosses | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        self.losses = None
        if stage == "fit" and isinstance(datamodule, FashionMNISTDataModule) and datamodule.prune:
            self.losses = datamodule.image_losses = ImageLosses(len(datamodule.train_set.labels))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.losses is not None:
            self.losses.record(batch.indices, outputs["logits"], batch.labels)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.losses is None else self.losses.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.losses is not None:
            self.losses.load_state_dict(state_dict)
