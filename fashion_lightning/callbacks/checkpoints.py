"""The two checkpoints of a run: the best one, and the last one to continue from."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

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
        # Recorded before the file is written, so that the file holds its own figures.
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        place = {"epoch": trainer.current_epoch, "steps": trainer.global_step}
        self.best_metrics = {**place, **figures}
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
        self.best_metrics = state_dict["best_metrics"]


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``checkpoints/last.ckpt``, written after each epoch and when a signal stops the run.

    It has no monitor: one with a validation metric would be put off until the next validation.
    """

    def __init__(self) -> None:
        # at the end of each epoch, also of those without validation, which stock ModelCheckpoint would leave out
        super().__init__(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when ``max_steps`` ends the run within an epoch, before that epoch is counted as done."""
        if trainer.global_step == trainer.max_steps and not trainer.is_last_batch:
            self.save_now(trainer)

    def save_now(self, trainer: Trainer) -> None:
        """Write the checkpoint unless this very step was already written."""
        if not trainer.fast_dev_run and self._last_global_step_saved != trainer.global_step:  # type: ignore[attr-defined]
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take over: the file is always ``last.ckpt`` of this run folder."""
