"""``ReduceLROnPlateau`` that loses no step when a run is continued."""

import math
import sys
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fashion_lightning.metrics import validated_in_epoch


class StepPlateauSchedule(Callback):
    """Steps ``ReduceLROnPlateau`` by ``val/loss`` at the end of each epoch with a validation, before its checkpoint.

    Lightning does so behind the checkpoint of the epoch, which therefore lacks the step (2.6.6,
    ``fit_loop.py``, ``on_advance_end``), and by the loss of an earlier epoch where one has no validation.
    """

    def __init__(self) -> None:
        self.val_loss = math.nan

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.frequency = sys.maxsize  # epochs: Lightning's own turn never comes

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.val_loss = float(trainer.callback_metrics["val/loss"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if validated_in_epoch(trainer):
            for config in trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, ReduceLROnPlateau):
                    config.scheduler.step(self.val_loss)

    def state_dict(self) -> dict[str, Any]:
        return {"val_loss": self.val_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.val_loss = state_dict["val_loss"]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Of version 0.1, where the classifier kept the loss."""
        self.val_loss = checkpoint.get("validation", {}).get("loss", math.nan)
