"""An exponential moving average of the weights, with Lightning's callback."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from fashion_lightning.classifier import FashionMNISTClassifier


class WeightEMA(EMAWeightAveraging):
    """Validates, saves and tests an exponential moving average of the weights that are being trained.

    The average starts at the first step. Lightning could start it later, but would validate and save the initial
    weights until then as if they were the average (issue 21724).

    Args:
        decay: weight of the old average at each update.
        update_every_n_steps: optimizer steps between updates.
    """

    def __init__(self, decay: float = 0.999, update_every_n_steps: int = 1) -> None:
        super().__init__(decay=decay, update_every_n_steps=update_every_n_steps)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        # The average is a copy of the module. It needs no factories, and jsonargparse's cannot be copied.
        factories = pl_module.make_optimizer, pl_module.make_scheduler
        pl_module.make_optimizer, pl_module.make_scheduler = torch.optim.AdamW, None
        super().setup(trainer, pl_module, stage)
        pl_module.make_optimizer, pl_module.make_scheduler = factories
