"""Apply the optimizer settings that were typed when a run is continued."""

from typing import Any

from lightning import Callback, LightningModule, Trainer


class KeepOptimizerSettings(Callback):
    """Applies to a resumed run the optimizer settings that its config has changed.

    Restoring an optimizer also restores its learning rate and every other setting, and would silently drop a typed
    ``--model.optimizer.init_args.lr``. A learning rate that a schedule has lowered keeps its fraction. An unchanged
    config changes nothing.
    """

    def __init__(self) -> None:
        self.configured: list[dict[str, Any]] = []
        self.saved: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the settings of the config before the checkpoint's replace them."""
        groups = trainer.optimizers[0].param_groups
        self.configured = [{key: value for key, value in group.items() if key != "params"} for group in groups]

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
        self.saved = []
