"""End a run: early, after validating its last epoch, on a signal, or when numbers are not finite."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any

from jsonargparse.typing import NonNegativeInt
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor

from fashion_lightning.callbacks.checkpoints import LastCheckpoint, can_go_on_from, may_ask, may_stop
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.errors import UserError
from fashion_lightning.metrics import METRICS, TRAIN_METRICS, direction, validated_in_epoch
from fashion_lightning.runs.continuing import has_asked_to_stop
from fashion_lightning.runs.processes import SIGNALS


class EarlyStopping(callbacks.EarlyStopping):
    """Stops when the monitored metric has not improved for ``patience`` validations; never by default.

    When a run continues, Lightning's EarlyStopping takes the checkpoint's patience instead of the configured one, and
    forgets a request to stop that ``min_epochs`` or ``min_steps`` has postponed. This class does neither.

    Args:
        patience: validations (by default one per epoch) without improvement before training stops; 0 stops at the
            first, as 1 does; null never stops.
        monitor: the metric to watch; it may be one that a callback logs. It should fall if its name ends in ``loss``,
            ``error`` or ``ece``, else rise. A metric of training is checked after each epoch.
        min_delta: the smallest change that counts as an improvement.
    """

    def __init__(
        self,
        patience: NonNegativeInt | None = None,
        monitor: str = "val/loss",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(
            monitor=monitor,
            min_delta=min_delta,
            patience=sys.maxsize if patience is None else int(patience),  # a plain int for checkpoints
            mode=direction(monitor),
            strict=monitor not in METRICS,  # max_steps may end a run before our metrics exist
            # After a validation, the metrics of training are still those of an earlier epoch.
            check_on_train_epoch_end=True if monitor in TRAIN_METRICS else None,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopping_reason != EarlyStoppingReason.NOT_STOPPED
        batches = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches * trainer.enable_validation
        checks = -(-batches // ((trainer.val_check_batch or 1) * (trainer.check_val_every_n_epoch or 1)))
        # The first check has nothing to compare with, and after the last one the run ends anyway.
        if self.monitor not in TRAIN_METRICS and checks - 1 <= max(self.patience, 1) < sys.maxsize:
            print(
                f"--patience {self.patience} cannot stop this run early (checks of {self.monitor}: {checks:.0f})."
                " Check it more often (--trainer.check_val_every_n_epoch 1), train longer, or follow a metric of"
                " training (--early_stopping.monitor train/loss).",
                flush=True,
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        asked = has_asked_to_stop(state_dict, self.patience)
        reason = EarlyStoppingReason.PATIENCE_EXHAUSTED if asked else EarlyStoppingReason.NOT_STOPPED
        super().load_state_dict({**state_dict, "patience": self.patience, "stopping_reason": reason.value})


class ValidateLastEpoch(Callback):
    """Validates after a run's last epoch, even if ``check_val_every_n_epoch`` skips it.

    Without it, a run of two epochs that validates every third epoch would have no accuracy and no best checkpoint. A
    run that ends within an epoch is not validated: Lightning logs at a step that is one too low when a run continues
    from a validation in mid-epoch (training_epoch_loop.py, ``_batches_that_stepped``).

    Must come after ``Timer``, which stops a run in the same hook, and before checkpoint callbacks, which check whether
    a validation follows; Lightning runs those last anyway.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """When resuming after an epoch's validation, end the epoch instead of training past its end."""
        self.every = trainer.check_val_every_n_epoch
        if trainer.fit_loop.restarted_mid_epoch and trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.check_val_every_n_epoch = None  # Lightning skips a finished validation only if one is due

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.check_val_every_n_epoch = self.every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or trainer.check_val_every_n_epoch == 1 or validated_in_epoch(trainer):
            return
        is_last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.global_step == trainer.max_steps
        may_be_last = any(  # a metric of training is checked after the epoch, too late to validate it
            stopping.monitor in TRAIN_METRICS and stopping.wait_count + 1 >= max(stopping.patience, 1)
            for stopping in trainer.early_stopping_callbacks
        )
        if is_last or may_be_last or (trainer.should_stop and may_stop(trainer)):
            trainer.check_val_every_n_epoch = None  # lets Lightning validate this epoch
            trainer.should_stop = trainer.should_stop or ((is_last or not may_be_last) and may_stop(trainer))


class Interrupted(BaseException):
    """A signal stopped the training; ``last.ckpt`` holds everything up to the last step."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class StopOnSignal(callbacks.Checkpoint):
    """On the first signal of ``SIGNALS``, finishes the step, saves ``last.ckpt`` and raises ``Interrupted``.

    A second signal ends the process at once. Lightning itself saves nothing on Ctrl-C, which may come in the middle of
    a weight update, and exits with code 0 on SIGTERM (issue 19916). If one of several processes gets a signal, all stop
    after the same step, because they save together.

    Subclasses Checkpoint so that Lightning runs it after all callbacks whose state it saves.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.received = 0
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.previous = {signum: signal.signal(signum, self._receive) for signum in SIGNALS}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + self.received)  # skips Python's cleanup, which a third signal could disturb
        self.received = signum
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # a closed pipe, or in the middle of a print
            line_end = "\n" if sys.stdout.isatty() else ""  # ends the line of the bar or of ^C
            print(f"{line_end}Stopping after this step; a second signal stops at once.", flush=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if can_go_on_from(trainer, batch_idx) and may_ask(trainer, batch_idx):
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)  # for signals before the first batch, at the last one, or during validation

    def _stop(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(self.received), all=False):
            self.last.save_now(trainer)
            raise Interrupted(self.received or signal.SIGTERM)

    # Not called after an exception; the command line then restores its own handlers.
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}


class NotFinite(UserError):
    """The training diverged."""


class StopWhenNotFinite(Callback):
    """Ends a fit whose loss or weights are NaN or infinite, before a checkpoint is written.

    Checks the training loss in steps that log it, the validation loss after each validation, and the epoch's training
    loss, weights and batch-norm statistics before each checkpoint; not more often, because reading a number from a GPU
    waits for it.

    Raises:
        NotFinite: names the number, the step and the learning rate.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0 and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            _check(trainer, "The training loss", outputs["loss"])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            _check(trainer, "The validation loss", trainer.callback_metrics["val/loss"])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        _check(trainer, "The training loss", pl_module.train_metrics.sums[0])  # over the epoch so far
        network = pl_module.network
        averages = [(name, values) for name, values in network.named_buffers() if "running_" in name]
        for name, values in (*network.named_parameters(), *averages):  # other buffers may be infinite, such as masks
            _check(trainer, f"{name} of the network", values)


def _check(trainer: Trainer, name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        found = f"is {values.item()}" if values.ndim == 0 else "is no longer finite"
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        raise NotFinite(
            f"{name} {found} at step {trainer.global_step}, with a learning rate of {lr:.3g}."
            " Lower the optimizer's learning rate, or try --trainer.gradient_clip_val 1."
        )
