"""What a fit writes into its run folder, and how all processes learn where that is."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from fashion_lightning.callbacks.not_finite import NotFinite
from fashion_lightning.callbacks.stop_on_signal import Interrupted
from fashion_lightning.files.bounded_yaml import dump_yaml
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs.card import card_of
from fashion_lightning.runs.origin import describe, record_origin
from fashion_lightning.runs.progress import Progress, State, write_progress
from fashion_lightning.version import __version__


class ShareRunFolder(Callback):
    """Tells the other processes where the first one writes, as soon as they are connected.

    Must come before all callbacks that need the folder. An environment variable would only reach the processes that
    Lightning starts: those of torchrun and SLURM run before there is a folder.

    Args:
        use: makes the Trainer of another process use the folder.
    """

    def __init__(self, use: Callable[[Trainer, Path], None]) -> None:
        self.use = use
        self.run_dir: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size == 1 or stage != "fit":
            return
        run_dir = trainer.strategy.broadcast(self.run_dir)
        if run_dir is not None and not trainer.is_global_zero:
            self.use(trainer, run_dir)


def config_text(parser: LightningArgumentParser, config: Namespace) -> str:
    """Return every setting as YAML, also those that are null: null may differ from the default."""
    return dump_yaml(yaml.safe_load(parser.dump(config, skip_none=False)))


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run folder, and the same text and a card into each checkpoint.

    The card lets a checkpoint be tested and used wherever it was moved to. The metrics of the latest epoch go with
    it, for the report of a run that was killed before it could write one.

    Args:
        name: the recipe's name.

    ``run_dir`` and ``run_id`` are set when the run folder is made; without one, nothing is written.
    """

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run_dir: Path | None = None
        self.run_id: str | None = None
        self.name = name
        self.text = config_text(self.parser, self.config)
        self.metrics: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet: stock SaveConfigCallback would, and refuses the file of a run that is continued."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.run_dir is not None and trainer.is_global_zero:
            with replacing(self.run_dir / "config.yaml") as file:
                file.write(self.text.encode())

    def latest_metrics(self, trainer: Trainer) -> dict[str, float]:
        """Return the latest value of each metric, also from before an interruption."""
        measured = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        self.metrics = {**self.metrics, **measured}
        return self.metrics

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        card = card_of(yaml.safe_load(self.text), self.name)
        checkpoint["fashion_lightning"] = {
            "version": __version__,
            "name": self.name,
            "run": self.run_id,
            "config": self.text,
            "card": None if card is None else card.to_json(),
            "processes": trainer.world_size,
            "metrics": self.latest_metrics(trainer),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.metrics = checkpoint["fashion_lightning"]["metrics"]


class RecordOrigin(Callback):
    """Writes down name, note, command line, commit, versions and machine when training begins or goes on.

    Args:
        arguments: as they were typed, without the program.
        name: that the user has given the run; may be empty.
        note: the same.

    ``run_dir`` is set when the run folder is made, and ``is_new`` with it; without one, nothing is written.
    """

    def __init__(self, arguments: Sequence[str], name: str, note: str) -> None:
        self.arguments, self.name, self.note = arguments, name, note
        self.run_dir: Path | None = None
        self.is_new = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.run_dir is None or not trainer.is_global_zero:
            return
        record_origin(self.run_dir, self.of_now(trainer), None if self.is_new else trainer.global_step)

    def of_now(self, trainer: Trainer) -> dict[str, Any]:
        """Where what this Trainer does comes from."""
        device = trainer.strategy.root_device
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        return describe(self.arguments, self.name, self.note, gpu, torch.get_num_threads())


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
