"""``progress.json``: how far a run is, for whoever watches it from another process."""

import os
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.not_finite import NotFinite
from fashion_lightning.callbacks.stop_on_signal import Interrupted
from fashion_lightning.runs.progress import Progress, State, write_progress


class ProgressFile(Callback):
    """Writes ``progress.json`` at the start and the end of each epoch, and at the end of the run.

    ``run_dir`` is set when the run folder is made; without one, nothing is written.
    """

    def __init__(self) -> None:
        self.run_dir: Path | None = None

    def _write(self, trainer: Trainer, state: State, epoch: int) -> None:
        if self.run_dir is None or not trainer.is_global_zero:
            return
        epochs, steps = trainer.max_epochs, trainer.max_steps
        progress = Progress(
            epoch=epoch,
            epochs=epochs if epochs is not None and epochs > 0 else None,
            step=trainer.global_step,
            steps=steps if steps > 0 else None,
            state=state,
            pid=os.getpid(),
            threads=torch.get_num_threads(),
        )
        write_progress(self.run_dir, progress)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, "training", trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, "training", trainer.current_epoch + 1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, "finished", trainer.current_epoch)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        kinds: dict[type[BaseException], State] = {Interrupted: "interrupted", NotFinite: "diverged"}
        found: State = next((state for kind, state in kinds.items() if isinstance(exception, kind)), "failed")
        self._write(trainer, found, trainer.current_epoch)
