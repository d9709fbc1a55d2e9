"""Ctrl-C and SIGTERM end a run between two steps, with a checkpoint."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from fashion_lightning.callbacks.checkpoints import LastCheckpoint, can_go_on_from

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Training was stopped by a signal, and ``last.ckpt`` holds everything up to the last step."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class StopOnSignal(Checkpoint):
    """On the first SIGINT or SIGTERM, finishes the step, saves ``last.ckpt`` and raises ``Interrupted``.

    A second signal ends the process at once. Stock Lightning saves nothing on Ctrl-C, which may hit in the middle of a
    weight update, and ends with exit code 0 on SIGTERM (issue 19916). If any of several processes gets a signal, all
    stop after the same step, since they save together.

    Subclasses Checkpoint so that Lightning runs it after all callbacks whose state it saves.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.received = 0
        self.is_first = True
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_first = trainer.is_global_zero
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            self.previous = {signum: signal.signal(signum, self._receive) for signum in SIGNALS}

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + self.received)  # nothing that Python does at its end may be disturbed by a third
        self.received = signum
        if not self.is_first:
            return
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # nobody reads, or this is the middle of a print
            line_end = "\n" if sys.stdout.isatty() else ""  # of the bar, and of the ^C that a terminal shows
            print(f"{line_end}Stopping after this step; a second signal stops at once.", flush=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if can_go_on_from(trainer, batch_idx):
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
