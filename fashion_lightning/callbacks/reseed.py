"""Make dropout repeatable."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.seeding import derive_seed, run_seed


class ReseedEachStep(Callback):
    """Seeds torch's generators from (seed, epoch, batch) before each training step.

    No checkpoint holds the state of a generator (Lightning's ``dump_checkpoint``), so that a resumed
    run would draw other dropout masks than the undisturbed one.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        seed = derive_seed(run_seed(), "step", trainer.current_epoch, batch_idx, trainer.global_rank)
        # torch.manual_seed would look for every kind of device each time: 0.6 ms, a third of a small network's step.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type != "cpu":
            torch.get_device_module(pl_module.device).manual_seed(seed)
