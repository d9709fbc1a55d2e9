"""How a run ends: early, after a validation of its last epoch, by a signal, or since its numbers are not finite."""

import contextlib
import os
import signal
import sys
import threading
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

    Stock EarlyStopping prefers the checkpoint's patience to the typed one. It also forgets that it has asked the
    Trainer to stop, which ``min_epochs`` and ``min_steps`` put off.

    Args:
        patience: validations (one an epoch, unless the Trainer is told otherwise) without improvement
            before training stops; 0 stops at the first, as 1 does; null never stops.
        monitor: the metric to watch, also one that a callback logs; if its name ends in ``loss``, ``error`` or
            ``ece``, it should fall, else rise. A metric of training is checked after each epoch.
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
            patience=sys.maxsize if patience is None else int(patience),  # a plain one: it stands in checkpoints
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

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on after a validation that is not due again, instead of training past the end of its epoch."""
        self.every = trainer.check_val_every_n_epoch
        loop = trainer.fit_loop
        if loop.restarted_mid_epoch and loop.epoch_loop.batch_progress.is_last_batch:
            trainer.check_val_every_n_epoch = None  # Lightning skips one that was done, but only where it is due

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.check_val_every_n_epoch = self.every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch or trainer.check_val_every_n_epoch == 1 or validated_in_epoch(trainer):
            return
        is_last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.global_step == trainer.max_steps
        if is_last or (trainer.should_stop and may_stop(trainer)):
            trainer.check_val_every_n_epoch = None  # now any epoch may be validated, and is when it is to be the last
            trainer.should_stop = trainer.should_stop or may_stop(trainer)


class Interrupted(BaseException):
    """Training was stopped by a signal, and ``last.ckpt`` holds everything up to the last step."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class StopOnSignal(callbacks.Checkpoint):
    """On the first signal of ``SIGNALS``, finishes the step, saves ``last.ckpt`` and raises ``Interrupted``.

    A second signal ends the process at once. Stock Lightning saves nothing on Ctrl-C, which may hit in the middle of a
    weight update, and ends with exit code 0 on SIGTERM (issue 19916). If any of several processes gets a signal, all
    stop after the same step, since they save together.

    Subclasses Checkpoint so that Lightning runs it after all callbacks whose state it saves.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.received = 0
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            self.previous = {signum: signal.signal(signum, self._receive) for signum in SIGNALS}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + self.received)  # nothing that Python does at its end may be disturbed by a third
        self.received = signum
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # nobody reads, or this is the middle of a print
            line_end = "\n" if sys.stdout.isatty() else ""  # of the bar, and of the ^C that a terminal shows
            print(f"{line_end}Stopping after this step; a second signal stops at once.", flush=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if can_go_on_from(trainer, batch_idx) and may_ask(trainer, batch_idx):
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)  # the signal came before the first batch, with the last one, or during validation

    def _stop(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(bool(self.received), all=False):
            self.last.save_now(trainer)
            raise Interrupted(self.received or signal.SIGTERM)

    # Not called after an exception: then the command line restores its own handlers.
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}


class NotFinite(UserError):
    """The training has diverged."""


class StopWhenNotFinite(Callback):
    """Ends a fit whose loss or weights are NaN or infinite; no checkpoint is written then.

    Checks the training loss where it is logged, the validation loss after each validation, and the weights with the
    running statistics of batch norm before each checkpoint, since looking at a number on a GPU waits for it.

    Raises:
        NotFinite: naming the number, the step and the learning rate.
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
        if pl_module.train_metrics.images:
            _check(trainer, "The training loss", pl_module.train_metrics.loss)  # the sum over the epoch so far
        for name, values in pl_module.network.state_dict().items():
            _check(trainer, f"{name} of the network", values)


def _check(trainer: Trainer, name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        found = f"is {values.item()}" if values.ndim == 0 else "is no longer finite"
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        raise NotFinite(
            f"{name} {found} at step {trainer.global_step}, with a learning rate of {lr:.3g} by now."
            " Lower the optimizer's learning rate, or try --trainer.gradient_clip_val 1."
        )
