"""Write the two checkpoints of a run: the best one, and the last one to continue from."""

import time
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from fashion_lightning.data import split
from fashion_lightning.errors import UserError, os_error_behind
from fashion_lightning.files.durable import replacing
from fashion_lightning.metrics import TRAIN_METRICS, direction, validated_in_epoch


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``checkpoints/best.ckpt``, chosen on the validation images after each epoch.

    Args:
        monitor: the metric to choose by; it may be one that a callback logs. The lowest value is best if its name
            ends in ``loss``, ``error`` or ``ece``, else the highest. Of two equal epochs, the earlier one stays. A
            metric of training is compared after every epoch, even without validation.

    With too few validation images to choose by, the last epoch that was validated counts as the best.
    """

    def __init__(self, monitor: str = "val/accuracy") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=direction(monitor),
            enable_version_counter=False,
            # After a validation, the metrics of training are still those of an earlier epoch.
            save_on_train_epoch_end=True if monitor in TRAIN_METRICS else None,
        )
        self.best_metrics: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        enough = range(split.ENOUGH_TO_CHOOSE)
        images: Any = getattr(trainer.datamodule, "val_set", enough)  # type: ignore[attr-defined]
        if len(images) < len(enough) and stage == "fit" and self.monitor not in TRAIN_METRICS:
            self.monitor = None
            if trainer.is_global_zero:
                print(f"{len(images)} validation images are too few to choose an epoch by: the last epoch counts.")
        super().setup(trainer, pl_module, stage)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # If max_steps ends the run before its first validation, the metric may be missing; otherwise that is an error.
        if self.monitor in trainer.callback_metrics or validated_in_epoch(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        # Recorded before the file is written, so that the file contains its own metrics.
        measured = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name == self.monitor or (name.startswith("val/") and validated_in_epoch(trainer))
        }
        self.best_metrics = {"epoch": trainer.current_epoch, "steps": trainer.global_step, **measured}
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the record of the best epoch, even if the run folder was moved.

        Lightning's ModelCheckpoint forgets the record if the path has changed, and overwrites the best file with the
        next epoch, however bad (model_checkpoint.py, ``load_state_dict``).
        """
        best = Path(self.dirpath or "") / Path(state_dict["best_model_path"]).name
        if not best.is_file():  # a run continued in a new folder starts a new record
            return
        here = {
            "dirpath": self.dirpath,
            "best_model_path": str(best),
            "kth_best_model_path": str(best),
            "best_k_models": {str(best): state_dict["best_model_score"]},
            "last_model_path": "",
        }
        super().load_state_dict({**state_dict, **here})
        self.best_metrics, self.current_score = state_dict["best_metrics"], state_dict["current_score"]


def may_stop(trainer: Trainer) -> bool:
    """Check whether a run may stop early: ``min_epochs`` and ``min_steps`` are completed."""
    return trainer.current_epoch >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)


def ends_within_epoch(trainer: Trainer) -> bool:
    """Check whether a run ends in mid-epoch; Lightning then counts that epoch as completed."""
    over = trainer.global_step == trainer.max_steps or (trainer.should_stop and may_stop(trainer))
    return over and not trainer.is_last_batch


def validation_follows(trainer: Trainer, batch_idx: int) -> bool:
    """Check whether Lightning validates or ends the epoch after this batch; a run resumed from here would skip that."""
    if trainer.is_last_batch:
        return True
    nth_epoch, every = trainer.check_val_every_n_epoch, trainer.val_check_batch
    # Without check_val_every_n_epoch, Lightning counts batches across epochs.
    counted = batch_idx if nth_epoch is not None else trainer.fit_loop.total_batch_idx
    due = isinstance(every, int) and (counted + 1) % every == 0
    in_this_epoch = trainer.enable_validation and (nth_epoch is None or (trainer.current_epoch + 1) % nth_epoch == 0)
    return in_this_epoch and (due or (trainer.should_stop and may_stop(trainer)))


def can_go_on_from(trainer: Trainer, batch_idx: int) -> bool:
    """Check whether a checkpoint after this batch loses nothing; it cannot hold half-accumulated gradients."""
    return not validation_follows(trainer, batch_idx) and (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def may_ask(trainer: Trainer, batch_idx: int) -> bool:
    """Check whether to communicate now: with several processes, every eighth batch, as each waits for all."""
    return trainer.world_size == 1 or (batch_idx + 1) % 8 == 0


class LastCheckpoint(Checkpoint):
    """Keeps ``checkpoints/last.ckpt``: saves at the start, after each epoch, during long ones, and on a signal.

    Not a ModelCheckpoint, which would skip epochs without validation.

    Args:
        every_n_minutes: minutes between two saves within an epoch.
        every_n_steps: optimizer steps between two saves within an epoch, in addition to the minutes; none by default.

    Attributes:
        dirpath: the folder to write to.
    """

    def __init__(self, every_n_minutes: PositiveFloat = 1.0, every_n_steps: PositiveInt | None = None) -> None:
        self.every_n_seconds, self.every_n_steps = 60 * every_n_minutes, every_n_steps
        self.dirpath: str | None = None
        self.saved_step: int | None = None
        self.saved_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before training, so that a run that is killed at any time continues with its current settings."""
        self.save_now(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when a save is due, and if the run ends in mid-epoch (``max_time``), before Lightning counts the epoch.

        If a validation follows, the run ends after it, and ``on_validation_end`` saves.
        """
        ends = ends_within_epoch(trainer) and not validation_follows(trainer, batch_idx)
        if ends or (can_go_on_from(trainer, batch_idx) and self._is_due(trainer, batch_idx)):
            self.save_now(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and ends_within_epoch(trainer):
            self.save_now(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save_now(trainer)

    def _is_due(self, trainer: Trainer, batch_idx: int) -> bool:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            return True
        late = time.monotonic() - self.saved_at >= self.every_n_seconds
        # All processes of a run need the same answer, because saving waits for all of them.
        return may_ask(trainer, batch_idx) and bool(trainer.strategy.broadcast(late))

    def save_now(self, trainer: Trainer) -> None:
        """Save unless this step is already saved."""
        if trainer.fast_dev_run or self.saved_step == trainer.global_step:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(Path(self.dirpath or "") / "last.ckpt", weights_only=False)
        self.saved_step, self.saved_at = trainer.global_step, time.monotonic()


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file beside its target, syncs and renames it, and syncs the folder.

    Lightning writes to the system's temporary folder and moves the file across file systems, so that a kill can leave
    half of it (issue 21253). It also swallows a PermissionError (issue 21800).

    Args:
        content: the checkpoint to continue from, already read and checked; its file is not opened again.
    """

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        self.content = content

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the content of the checkpoint that the run continues from."""
        return dict(self.content or {})

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace ``path`` in one step; an error keeps the old file."""
        target = Path(path)
        try:
            # No parents for our own two files: a run folder that was deleted stays deleted.
            target.parent.mkdir(exist_ok=True, parents=target.name not in ("best.ckpt", "last.ckpt"))
            with replacing(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            cause = os_error_behind(error)
            reason = str(error).splitlines()[0] if cause is None else cause.strerror
            raise UserError(f"The checkpoint {target} cannot be written ({reason}).") from error
