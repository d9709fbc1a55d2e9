"""A fit ends with a validation."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.checkpoints import may_stop
from fashion_lightning.metrics import validated_in_epoch


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
