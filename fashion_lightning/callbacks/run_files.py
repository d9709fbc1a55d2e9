"""Write the files of a run folder, and tell all processes of a fit where the folder is."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.stopping import Interrupted, NotFinite
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.files.bounded_yaml import dump_yaml
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs import card, origin, progress
from fashion_lightning.version import __version__


class RunFiles(Callback):
    """Writes ``config.yaml``, ``run.json`` and ``progress.json``; adds the config and a card to each checkpoint.

    With its card, a checkpoint can be tested and used after it was moved.

    Must come before all callbacks that need the folder: as soon as the processes are connected, it tells all of them
    where rank 0 writes. An environment variable would only reach the processes that Lightning starts: those of
    torchrun and SLURM are running before the folder exists.

    Args:
        config: all settings, as plain values.
        recipe: the recipe's name.
        arguments: the command line, without the program.
        labels: the user's name and note for the run; both may be empty.
        use: called in the processes other than rank 0, to make their Trainer use the folder.

    ``run_dir`` and ``run_id`` are set when the run folder is made; without a folder, nothing is written.
    """

    def __init__(
        self,
        config: dict[str, Any],
        recipe: str,
        arguments: Sequence[str],
        labels: tuple[str, str],
        use: Callable[[Trainer, Path], None],
    ) -> None:
        self.config, self.arguments, self.labels, self.use = dump_yaml(config), arguments, labels, use
        self.run_dir: Path | None = None
        self.run_id: str | None = None
        self.card = card.card_of(config, recipe)
        self.about = {"version": __version__, "name": recipe, "config": self.config}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell the folder to all processes; write nothing yet, since the fit may still be refused."""
        if trainer.world_size > 1 and stage == "fit":
            run_dir = trainer.strategy.broadcast(self.run_dir)
            if run_dir is not None and not trainer.is_global_zero:
                self.use(trainer, run_dir)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.run_dir is not None and trainer.is_global_zero:
            (self.run_dir / "fit.json").unlink(missing_ok=True)  # a run that is being continued is not finished
            with replacing(self.run_dir / "config.yaml") as file:
                file.write(self.config.encode())
            origin.record_origin(self.run_dir, self.of_now(trainer), trainer.global_step)
        self._write_progress(trainer, "training", trainer.current_epoch)

    def of_now(self, trainer: Trainer) -> dict[str, Any]:
        """Describe the origin of the current command: its arguments, machine and versions."""
        device = trainer.strategy.root_device
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        return origin.describe(self.arguments, *self.labels, gpu, torch.get_num_threads())

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add config and card, and flush the loggers, because a resumed run does not log earlier steps again.

        TensorBoard's writer keeps points in memory for up to two minutes; a kill would lose them.
        """
        for logger in trainer.loggers:
            logger.save()
        assert isinstance(pl_module, FashionMNISTClassifier)
        checkpoint["fashion_lightning"] = {
            **self.about,
            "card": None if self.card is None else replace(self.card, limits=pl_module.limits).to_json(),
            "limits": asdict(pl_module.limits),
            "run": self.run_id,
            "processes": trainer.world_size,
            "data": trainer.datamodule.fingerprint,  # type: ignore[attr-defined]
            "loggers": {type(logger).__name__: logger.version for logger in trainer.loggers},
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write_progress(trainer, "training", trainer.current_epoch + 1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write_progress(trainer, "finished", trainer.current_epoch)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        states: dict[type[BaseException], str] = {Interrupted: "interrupted", NotFinite: "diverged"}
        self._write_progress(trainer, states.get(type(exception), "failed"), trainer.current_epoch)

    def _write_progress(self, trainer: Trainer, state: str, epoch: int) -> None:
        if self.run_dir is None or not trainer.is_global_zero:
            return
        epochs = max(0, trainer.max_epochs or 0) or None
        now = progress.Progress(epoch, epochs, trainer.global_step, state, os.getpid(), torch.get_num_threads())
        # Keep the number of threads that the run began with; another number holds for this fit only.
        progress.write_progress(
            self.run_dir, now._replace(threads=(progress.read_progress(self.run_dir) or now).threads)
        )
