"""EarlyStopping that continues exactly."""

from typing import Any

from jsonargparse.typing import NonNegativeInt
from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from fashion_lightning.metrics import TRAIN_METRICS, direction
from fashion_lightning.runs.continuing import has_asked_to_stop


class EarlyStopping(callbacks.EarlyStopping):
    """Stops when the monitored metric has not improved for ``patience`` validations.

    Stock EarlyStopping prefers the checkpoint's patience to the typed one. It also forgets that it has asked the
    Trainer to stop, which ``min_epochs`` and ``min_steps`` put off.

    Args:
        patience: validations (one an epoch, unless the Trainer is told otherwise) without improvement
            before training stops; 0 stops at the first, as 1 does.
        monitor: the metric to watch; a loss should fall, anything else should rise. A metric of training is checked
            after each epoch.
        min_delta: the smallest change that counts as an improvement.
    """

    def __init__(
        self,
        patience: NonNegativeInt = 10,
        monitor: str = "val/loss",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(
            monitor=monitor,
            min_delta=min_delta,
            patience=int(patience),  # a plain one: it stands in checkpoints
            mode=direction(monitor),
            strict=False,  # a run that max_steps ends before its first validation has no metric yet
            # After a validation, the metrics of training are still those of an earlier epoch.
            check_on_train_epoch_end=True if monitor in TRAIN_METRICS else None,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopping_reason != EarlyStoppingReason.NOT_STOPPED

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        reason = EarlyStoppingReason.NOT_STOPPED
        if has_asked_to_stop(state_dict, self.patience):
            reason = EarlyStoppingReason.PATIENCE_EXHAUSTED
        super().load_state_dict({**state_dict, "patience": self.patience, "stopping_reason": reason.value})
