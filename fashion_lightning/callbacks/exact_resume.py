"""Make a resume exact beyond its checkpoint: a seed for each step, and the config's optimizer settings."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.data.seeding import derive_seed, run_seed


class ReseedEachStep(Callback):
    """Seeds torch's generators from (seed, epoch, batch, rank) before each training batch.

    Lightning's checkpoints do not contain the generators' state (``dump_checkpoint``): without new seeds, a resumed run
    would draw other dropout masks than an uninterrupted one.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        seed = derive_seed(run_seed(), "step", trainer.current_epoch, batch_idx, trainer.global_rank)
        # torch.manual_seed checks every kind of device each time, in 0.6 ms, a third of a small network's step.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type != "cpu":
            torch.get_device_module(pl_module.device).manual_seed(seed)


class KeepOptimizerSettings(Callback):
    """Gives a resumed run the optimizer settings that the user has changed.

    Restoring an optimizer also restores its learning rate and all other settings, so a typed
    ``--model.optimizer.init_args.lr`` would be ignored. A learning rate that a schedule has halved becomes half of
    the new one. An unchanged config changes nothing.
    """

    def __init__(self) -> None:
        self.configured: list[dict[str, Any]] = []
        self.saved: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the config's settings before those of the checkpoint replace them."""
        self.configured = [
            {key: value for key, value in group.items() if key != "params"}
            for group in trainer.optimizers[0].param_groups
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"configured": self.configured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.saved = state_dict["configured"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for group, saved, configured in zip(trainer.optimizers[0].param_groups, self.saved, self.configured):
            for key, value in configured.items():
                if value != saved.get(key) and key not in ("lr", "initial_lr"):
                    group[key] = value
            base, wanted = (settings.get("initial_lr", settings["lr"]) for settings in (saved, configured))
            if wanted != base:
                group["lr"] = wanted * (group["lr"] / base) if base else wanted
                if "initial_lr" in group:
                    group["initial_lr"] = wanted
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                config.scheduler.base_lrs = [group["initial_lr"] for group in trainer.optimizers[0].param_groups]
