"""An exponential moving average of the weights, by Lightning's own callback."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from fashion_lightning.classifier import FashionMNISTClassifier


class WeightEMA(EMAWeightAveraging):
    """Validates, saves and tests an exponential moving average of the weights while the weights themselves train.

    Works around two faults of Lightning 2.6.6: until a delayed average begins, it validates and saves the initial
    weights as if they were the average (issue 21724), and it warns at each test.

    Args:
        decay: share of the average that stays at each update.
        update_every_n_steps: optimizer steps between updates.
        update_starting_at_step: optimizer steps before the first update; until then the weights
            themselves are validated.
    """

    def __init__(
        self, decay: float = 0.999, update_every_n_steps: int = 1, update_starting_at_step: int | None = None
    ) -> None:
        super().__init__(
            decay=decay, update_every_n_steps=update_every_n_steps, update_starting_at_step=update_starting_at_step
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        # The average is a copy of the module. It needs no factories, and those of jsonargparse cannot be copied.
        factories = pl_module.make_optimizer, pl_module.make_scheduler
        pl_module.make_optimizer, pl_module.make_scheduler = torch.optim.AdamW, None
        super().setup(trainer, pl_module, stage)
        pl_module.make_optimizer, pl_module.make_scheduler = factories

    @property
    def has_begun(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun:
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.has_begun:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # Otherwise a test, or a fit from a checkpoint before the average began: its first update copies the weights.
        if self._average_model is not None and "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
