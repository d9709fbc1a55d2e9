"""An exponential moving average of the weights, by Lightning's own callback."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from fashion_lightning.classifier import FashionMNISTClassifier


class WeightEMA(EMAWeightAveraging):
    """Validates, saves and tests an exponential moving average of the weights while the weights themselves train.

    The average begins with the first step. Lightning's delayed one is not offered: until it begins, the initial weights
    are validated and saved as if they were the average (issue 21724).

    Args:
        decay: share of the average that stays at each update.
        update_every_n_steps: optimizer steps between updates.
    """

    def __init__(self, decay: float = 0.999, update_every_n_steps: int = 1) -> None:
        super().__init__(decay=decay, update_every_n_steps=update_every_n_steps)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        # The average is a copy of the module. It needs no factories, and those of jsonargparse cannot be copied.
        factories = pl_module.make_optimizer, pl_module.make_scheduler
        pl_module.make_optimizer, pl_module.make_scheduler = torch.optim.AdamW, None
        super().setup(trainer, pl_module, stage)
        pl_module.make_optimizer, pl_module.make_scheduler = factories
