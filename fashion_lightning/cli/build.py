"""Build Trainer, model and data from a parsed command line; refuse what cannot work before anything is touched."""

import argparse
import inspect
import os
import pydoc
import sys
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import lightning
import torch
import yaml
from jsonargparse import Namespace, set_parsing_settings
from jsonargparse.typing import restricted_number_type
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch.utils.data import DataLoader

from fashion_lightning.callbacks import (
    checkpoints,
    exact_resume,
    plots,
    pruning,
    run_files,
    stopping,
    terminal,
    throughput,
)
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.cli import messages, process
from fashion_lightning.cli.trainer import Trainer
from fashion_lightning.data import own_files, own_pictures
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import rendered
from fashion_lightning.data.datamodule import FashionMNISTDataModule, default_val_size
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import lock_run
from fashion_lightning.metrics import METRICS
from fashion_lightning.networks import precision
from fashion_lightning.runs import continuing, folder, processes, tensorboard, weights
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.schedules import RunSchedule, check_length

set_parsing_settings(import_path_allowlist=[])  # none but jsonargparse's own: no setting names subprocess.Popen

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])

RUN_IDS = {"MLFlowLogger": "run_id", "WandbLogger": "id"}
"""Arguments with which a logger goes on with a run."""


class FashionMNISTCLI(LightningCLI):
    """Builds what a command line asks for; ``fit.py`` runs it.

    A LightningCLI without subcommands: building the parsers of all of them would take three times as long
    (Lightning issue 16090), and each would take arguments of its own only by way of private methods (20374).

    Args:
        given: the command, its own options, and the command line as it was typed.
        arguments, name, checkpoint, weights: what ``complete`` returns.
        makes_run_folder: whether ``fit`` gets one; else all is checked that it would refuse.
    """

    trainer: Trainer

    def __init__(
        self,
        given: argparse.Namespace,
        arguments: list[str],
        name: str,
        checkpoint: Checkpoint | None,
        weights: Checkpoint | None,
        makes_run_folder: bool = True,
    ) -> None:
        self.given, self.command, self.name = given, given.command, name
        self.checkpoint, self.weights, self.makes_run_folder = checkpoint, weights, makes_run_folder
        self.run_dir: Path | None = self.checkpoint.run_dir if self.checkpoint else None
        self.run_dir_is_new = False
        self.finished: str | None = None  # why there is nothing left to train
        with messages.errors_in_one_line("The settings cannot be used"):
            super().__init__(
                FashionMNISTClassifier,
                FashionMNISTDataModule,
                args=arguments,
                run=False,
                trainer_class=Trainer,
                save_config_callback=None,
                parser_class=messages.OneLineErrorParser,
                parser_kwargs={"prog": f"fashion-lightning {self.command}"},
                auto_configure_optimizers=False,
            )

    @property
    def measured(self) -> Checkpoint:
        """The checkpoint of a command that needs one."""
        assert self.checkpoint is not None  # command.py checks it
        return self.checkpoint

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # An int only: Lightning also takes `true`, which does not mean a random seed but 0 (issue 18846).
        parser.add_argument("--seed_everything", type=Seed, default=0, help="the run's seed")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(stopping.EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(checkpoints.BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(checkpoints.LastCheckpoint, "last_checkpoint")
        parser.add_argument("--pictures", type=bool, default=True, help="whether fit draws pictures for TensorBoard")

    def before_instantiate_classes(self) -> None:
        """Settle what depends on where the Trainer will train, so that config.yaml holds it."""
        if photographs := self.config["data"]["photographs"]:
            self.config["model"]["images"] = Namespace(**asdict(rendered(photographs)))  # type: ignore[no-untyped-call]
        data = self.config["data"]
        if getattr(self.given, "images", None):  # which are the user's: those of the training need not be there
            data["folder"] = data["size"] = data["channels"] = None
        _settle_images(self.config["model"], data, is_new=self.checkpoint is None)
        settings = self.config["trainer"]
        if isinstance(settings["logger"], list) and self.checkpoint is not None and self.checkpoint.in_place:
            for logger in settings["logger"]:
                name, known = logger["class_path"].rpartition(".")[2], self.checkpoint.own.get("loggers", {})
                if name in RUN_IDS and name in known:
                    logger["init_args"][RUN_IDS[name]] = known[name]
        if data["val_size"] == 0 and not data["fold"]:
            settings["limit_val_batches"] = 0
        if settings["precision"] is None:
            settings["precision"] = precision.default_precision(settings["accelerator"])
        if settings["deterministic"] is None:
            # Elsewhere some operations have no deterministic kernel, max pooling on Apple's GPUs for one.
            settings["deterministic"] = True if precision.device_type(settings["accelerator"]) == "cpu" else "warn"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer; what is wrong shows before a run folder is made or anything in it is touched."""
        settings = self.config_init["trainer"]
        if self.checkpoint is not None:
            continuing.refuse_changes(self.checkpoint, self.plain_config, self.command)
            self.model.load_state_dict(self.checkpoint.weights)
            self.model.limits = self.checkpoint.limits
        if self.weights is not None:
            self._start_from(self.weights)
        elif self.config["model"]["freeze"] and self.checkpoint is None:
            raise UserError("--freeze trains the last layer alone: name what the others come from, --weights cnn.")
        self.timer = Timer(duration=settings["max_time"])
        labels = getattr(self.given, "name", None) or "", getattr(self.given, "note", None) or ""
        self.run_files = run_files.RunFiles(self.plain_config, self.name, self.given.typed, labels, self._use_run_dir)
        shows_bar = settings["enable_progress_bar"] and sys.stdout.isatty()
        kwargs["enable_progress_bar"] = shows_bar and self.command != "fit"  # Lightning's own
        # Lightning calls those that are Checkpoints last: first BestCheckpoint, whose record LastCheckpoint saves.
        self.trainer_defaults["callbacks"] = [
            terminal.EpochLines(shows_bar),
            self.run_files,
            exact_resume.KeepOptimizerSettings(),
            exact_resume.ReseedEachStep(),
            stopping.StopWhenNotFinite(),
            pruning.PruneEasyImages(),
            throughput.Throughput(),
            *([plots.Pictures()] if self.config_init["pictures"] and self.command == "fit" else []),
            self.timer,
            stopping.ValidateLastEpoch(),  # asks whether the timer stops the run
            stopping.StopOnSignal(self.config_init["last_checkpoint"]),
        ]
        if self.command != "fit" or not isinstance(settings["logger"], list):
            kwargs["logger"] = False  # TensorBoard's comes when there is a folder to log to
        trainer: Trainer = super().instantiate_trainer(**kwargs)  # type: ignore[assignment]
        trainer.strategy.checkpoint_io = checkpoints.DurableCheckpointIO(
            self.checkpoint.content if self.checkpoint else None
        )
        if self.command == "fit":
            self._check_fit(trainer)
            if self.makes_run_folder and not settings["fast_dev_run"] and not self.finished:
                self._make_run_folder(trainer)
        return trainer

    def _check_fit(self, trainer: Trainer) -> None:
        for part in ("best_checkpoint", "early_stopping"):
            monitor = self.config[part]["monitor"]
            if monitor not in METRICS and not self.config["trainer"]["callbacks"]:
                raise UserError(
                    f"--{part}.monitor: nothing logs {monitor}. There are {', '.join(METRICS)}, and what a callback of"
                    " yours logs (docs/recipes.md)."
                )
        optimizers = self.model.configure_optimizers()
        for group in optimizers["optimizer"].param_groups:
            if not 0 <= group["lr"] < float("inf"):  # not all optimizers check it
                raise UserError(f"A learning rate of the optimizer must be a number from 0 on, not {group['lr']}.")
        if isinstance(optimizers.get("lr_scheduler", {}).get("scheduler"), RunSchedule):
            check_length(trainer)
        if self.checkpoint is not None:
            continuing.refuse_other_pictures(self.checkpoint, self.datamodule.fingerprint)
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        for line in self.datamodule.own.lines if self.datamodule.own else ():
            print(line, flush=True)
        if self.checkpoint is not None:
            continuing.check_optimizer_state(self.checkpoint, optimizers["optimizer"])
            before = self.checkpoint.own["processes"]
            if self.checkpoint.batches_of_epoch_done and before != trainer.world_size:
                raise UserError(
                    f"{self.checkpoint.path} lies within an epoch, whose images {before} processes have shared;"
                    f" {trainer.world_size} cannot go on there. Use --trainer.devices {before}, or the checkpoint of an"
                    " end of an epoch."
                )
            self.finished = continuing.why_finished(
                self.checkpoint, trainer, self.config_init["early_stopping"].patience
            )

    def _make_run_folder(self, trainer: Trainer) -> None:
        """Make or take the run folder; the other processes get to know it in ``RunFiles``."""
        run_dir = self.run_dir if self.checkpoint is not None and self.checkpoint.in_place else None
        self.run_dir_is_new = run_dir is None
        if not processes.is_first_process():
            return
        logs, number = Path(trainer.default_root_dir), os.environ.pop(folder.RUN_NUMBER, None)
        run_dir = run_dir or folder.new_run_dir(logs, self.name, number)
        lock_run(run_dir)
        if number and self.run_dir_is_new:
            folder.clear_begun(run_dir)
        self._use_run_dir(trainer, run_dir)

    def _use_run_dir(self, trainer: lightning.Trainer, run_dir: Path) -> None:
        self.run_dir = self.run_files.run_dir = run_dir
        self.run_files.run_id = folder.mark_run(run_dir) if trainer.is_global_zero else folder.run_id_of(run_dir)
        for part in ("best_checkpoint", "last_checkpoint"):
            self.config_init[part].dirpath = str((run_dir / "checkpoints").resolve())
        if self.config_init["trainer"]["logger"] is not False:
            own = self._logger(run_dir)
            for logger in trainer.loggers:
                logger.log_hyperparams(own.recipe)
            trainer.loggers = [own, *trainer.loggers]

    def start(self, method: str, loader: DataLoader[Batch] | None = None) -> None:
        """Call a method of the Trainer, with the DataModule or with a loader.

        Raises:
            UserError: whatever a network or an optimizer of the user's raises within a step, in one line.
        """
        process.keep_freed_memory()
        # With `deterministic`, torch fills all that it allocates, for code that reads what nobody wrote: 3 % of a step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if self.checkpoint is not None and method != "fit" and loader is None:
            own, trained_on = (config["data"].get("folder") for config in (self.config, self.checkpoint.settings))
            # Without a folder of test pictures, one picture more or less draws others for the test.
            is_drawn = own is not None and own == trained_on and not any(map(own_files.is_test, Path(own).iterdir()))
            if method == "validate" or is_drawn:
                continuing.refuse_other_pictures(self.checkpoint, self.datamodule.fingerprint)
        # Only `fit` restores more than weights, which the model has already.
        path = str(self.checkpoint.path) if self.checkpoint is not None and method == "fit" else None
        verbosity = {"verbose": False} if method in ("validate", "test") else {}
        data = {"datamodule": self.datamodule} if loader is None else {"dataloaders": loader}
        with messages.errors_in_one_line("Training failed" if method == "fit" else f"`{method}` failed"):
            getattr(self.trainer, method)(self.model, **data, ckpt_path=path, weights_only=True, **verbosity)

    def _start_from(self, given: Checkpoint) -> None:
        """Take the weights of ``--weights`` that fit, and say which."""
        print(f"Weights of {given.path}: {weights.start_from(self.model.network, given.weights)}", flush=True)
        ours = self.config["data"]["val_size"]
        theirs = given.config.get("data", {}).get("val_size", ours)
        if theirs != ours and self.config["data"]["folder"] is None:
            print(f"They were trained with --data.val_size {theirs}, so on some of this run's validation images.")

    @cached_property
    def plain_config(self) -> dict[str, Any]:
        """Every setting as plain values, also those that are null: null may differ from the default."""
        return yaml.safe_load(self.parser.dump(self.config, skip_none=False))  # type: ignore[no-any-return]

    def _logger(self, run_dir: Path) -> tensorboard.RunLogger:
        config = self.plain_config
        recipe = {key: config[key] for key in ("seed_everything", "model")}
        recipe["data"] = {key: value for key, value in config["data"].items() if key != "root"}  # not of the recipe
        recipe["trainer"] = {key: config["trainer"][key] for key in ("max_epochs", "precision", "callbacks")}
        continued = self.checkpoint if self.checkpoint and self.checkpoint.run_dir == run_dir else None
        return tensorboard.RunLogger(run_dir, {"recipe": self.name, **recipe}, continued)


def _settle_images(model: Any, data: Any, is_new: bool) -> None:
    """Settle what depends on the images: of a new run by its data, else by what the network was trained for.

    Change the settings of model and data, and the network's arguments ``num_classes``, ``channels`` and ``size``.
    """
    if data["val_size"] is None:
        data["val_size"] = default_val_size(data["folder"])
    if data["folder"] is not None:
        data["folder"] = str(Path(data["folder"]).expanduser().resolve())
        if is_new:
            images = own_pictures.load(Path(data["folder"]), data["size"], data["channels"]).images
            model["images"] = Namespace(**asdict(images))  # type: ignore[no-untyped-call]
        data["size"], data["channels"] = model["images"]["size"], model["images"]["channels"]
    images = model["images"]
    decided = {"num_classes": len(images["class_names"]), "channels": images["channels"], "size": images["size"]}
    arguments = model["network"].get("init_args") or {}
    for name in decided.keys() & arguments.keys():
        arguments[name] = decided[name]
    for name, parameter in inspect.signature(
        cast(type, pydoc.locate(model["network"]["class_path"]))
    ).parameters.items():
        no_type = parameter.default is parameter.annotation is inspect.Parameter.empty  # jsonargparse gives it None
        if no_type and name in arguments and arguments[name] is None:
            raise UserError(f"{name} must be given: --model.network.init_args.{name}, of a network")
