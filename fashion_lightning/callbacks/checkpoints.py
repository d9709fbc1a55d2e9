"""The two checkpoints of a run: the best one, and the last one to continue from."""

import time
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from fashion_lightning.errors import UserError
from fashion_lightning.metrics import direction


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``checkpoints/best.ckpt``, judged on the validation images after each epoch.

    Args:
        monitor: the metric that decides, ``val/loss`` by the least and others by the most. Of two equal
            epochs the earlier one stays.
    """

    def __init__(self, monitor: str = "val/accuracy") -> None:
        super().__init__(filename="best", monitor=monitor, mode=direction(monitor), enable_version_counter=False)
        self.best_metrics: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor in trainer.callback_metrics:  # not yet if max_steps ends the run before its first validation
            super().on_train_epoch_end(trainer, pl_module)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        # Recorded before the file is written, so that the file holds its own metrics.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        place = {"epoch": trainer.current_epoch, "steps": trainer.global_step}
        self.best_metrics = {**place, **metrics}
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the record of the best epoch, also in a run folder that was moved since.

        Stock ModelCheckpoint forgets its record when the path has changed and overwrites the best
        file with the next epoch, however bad (model_checkpoint.py, ``load_state_dict``).
        """
        best = Path(self.dirpath or "") / Path(state_dict["best_model_path"]).name
        if not best.is_file():  # branched off into a new folder: the record starts anew
            return
        score = state_dict["best_model_score"]
        here = {"dirpath": self.dirpath, "best_model_path": str(best), "kth_best_model_path": str(best)}
        super().load_state_dict({**state_dict, **here, "best_k_models": {str(best): score}, "last_model_path": ""})
        self.best_metrics, self.current_score = state_dict["best_metrics"], state_dict["current_score"]


def can_go_on_from(trainer: Trainer, batch_idx: int) -> bool:
    """Whether a run that is continued from the end of this batch loses nothing.

    Lightning would skip a validation that follows this batch, and no checkpoint holds the gradients of
    a step that is half accumulated.
    """
    every = trainer.val_check_batch
    # Without check_val_every_n_epoch, Lightning counts batches across epochs.
    counted = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx
    validation_follows = trainer.is_last_batch or (isinstance(every, int) and (counted + 1) % every == 0)
    return not validation_follows and (batch_idx + 1) % trainer.accumulate_grad_batches == 0


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``checkpoints/last.ckpt``: written at the start, after each epoch, within long ones, and on a signal.

    It has no monitor: one with a validation metric would be put off until the next validation.

    Args:
        every_n_minutes: minutes after which it is written again within an epoch.
        every_n_steps: optimizer steps after which it is written again within an epoch; by time only if there
            is none.
    """

    def __init__(self, every_n_minutes: float = 1.0, every_n_steps: int | None = None) -> None:
        # at the end of each epoch, also of those without validation, which stock ModelCheckpoint would leave out
        super().__init__(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        for name, value in (("minutes", every_n_minutes), ("steps", every_n_steps)):
            if value is not None and value <= 0:
                raise UserError(f"last_checkpoint.every_n_{name} must be above 0, not {value}.")
        self.every_n_seconds, self.every_n_steps = 60 * every_n_minutes, every_n_steps
        self._last_global_step_saved = -1
        self.saved_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before anything is trained: a run killed at any later time goes on, with the settings that hold now."""
        self.save_now(trainer)
        self.saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, and when the run is ended within an epoch, before that counts as done."""
        # `max_time` asks to stop here, too
        ends = (trainer.global_step == trainer.max_steps or trainer.should_stop) and not trainer.is_last_batch
        if ends or (can_go_on_from(trainer, batch_idx) and self._is_due(trainer)):
            self.save_now(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save when early stopping ends the run within an epoch: Lightning counts that epoch as done."""
        if trainer.should_stop and not trainer.is_last_batch:
            self.save_now(trainer)

    def _is_due(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            return True
        late = time.monotonic() - self.saved_at >= self.every_n_seconds
        # Every process of a run must come to the same answer: saving waits for all of them.
        return bool(trainer.strategy.broadcast(late)) if trainer.world_size > 1 else late

    def save_now(self, trainer: Trainer) -> None:
        """Write the checkpoint unless this very step was already written."""
        if not trainer.fast_dev_run and self._last_global_step_saved != trainer.global_step:  # type: ignore[attr-defined]
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))
            self.saved_at = time.monotonic()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take over: the file is always ``last.ckpt`` of this run folder."""
