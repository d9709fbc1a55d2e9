"""When a run ends: early stopping that goes on where it was, and a validation of the last epoch."""

from typing import Any

from jsonargparse.typing import NonNegativeInt
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from fashion_lightning.callbacks.checkpoints import may_stop
from fashion_lightning.metrics import METRICS, TRAIN_METRICS, direction, validated_in_epoch
from fashion_lightning.runs.continuing import has_asked_to_stop


class EarlyStopping(callbacks.EarlyStopping):
    """Stops when the monitored metric has not improved for ``patience`` validations.

    Stock EarlyStopping prefers the checkpoint's patience to the typed one. It also forgets that it has asked the
    Trainer to stop, which ``min_epochs`` and ``min_steps`` put off.

    Args:
        patience: validations (one an epoch, unless the Trainer is told otherwise) without improvement
            before training stops; 0 stops at the first, as 1 does.
        monitor: the metric to watch, also one that a callback logs; if its name ends in ``loss``, ``error`` or
            ``ece``, it should fall, else rise. A metric of training is checked after each epoch.
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
            strict=monitor not in METRICS,  # a run that max_steps ends before its first validation has none of ours yet
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


class ValidateLastEpoch(Callback):
    """Validates at the end of the epoch that a run ends with, also where ``check_val_every_n_epoch`` would not.

    Without it, a run of two epochs that validates every third one would end without any accuracy and without a best
    checkpoint. Runs that end within an epoch get no validation: Lightning logs one step too low when a run continues
    from a validation in the middle of an epoch (training_epoch_loop.py, ``_batches_that_stepped``).

    Must come after ``Timer``, which stops a run in the same hook. Checkpoints, which look whether a validation follows,
    come last anyway.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or trainer.check_val_every_n_epoch == 1 or validated_in_epoch(trainer):
            return
        is_last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.global_step == trainer.max_steps
        if is_last or (trainer.should_stop and may_stop(trainer)):
            trainer.check_val_every_n_epoch = None  # now any epoch may be validated, and is when it is to be the last
            trainer.should_stop = trainer.should_stop or may_stop(trainer)
