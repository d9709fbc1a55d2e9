"""Build Trainer, model and data from a parsed command line; refuse what cannot work before changing any file."""

import argparse
import atexit
import inspect
import os
import pydoc
import signal
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
from fashion_lightning.data import own_pictures
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import FASHION_MNIST, rendered
from fashion_lightning.data.datamodule import FashionMNISTDataModule, default_val_size
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import lock_run
from fashion_lightning.metrics import METRICS
from fashion_lightning.networks import precision
from fashion_lightning.runs import continuing, folder, processes, tensorboard, weights
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.schedules import RunSchedule, check_length

set_parsing_settings(import_path_allowlist=[])  # only jsonargparse's own list: no setting can name subprocess.Popen

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
RUN_IDS = {"MLFlowLogger": "run_id", "WandbLogger": "id"}
"""Arguments with which a logger continues a run."""


class FashionMNISTCLI(LightningCLI):
    """Builds the parts that a command needs; ``fit.py`` runs it.

    A LightningCLI without subcommands: building the parsers of all subcommands would take three times as long
    (Lightning issue 16090), and giving each its own arguments would need private methods (20374).

    Args:
        given: the command, its own options, and the command line as it was typed.
        arguments, name, checkpoint, weights: the results of ``complete``.
        makes_run_folder: whether to make a run folder for ``fit``; if not, only check all that ``fit`` would refuse.
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
        self.measured = cast(Checkpoint, checkpoint)  # never None for commands that need one: command.py checks
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

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # Only an int: Lightning also accepts `true`, which means 0 and not a random seed (issue 18846).
        parser.add_argument("--seed_everything", type=Seed, default=0, help="the run's seed")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(stopping.EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(checkpoints.BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(checkpoints.LastCheckpoint, "last_checkpoint")
        parser.add_argument("--pictures", type=bool, default=True, help="whether fit draws pictures for TensorBoard")

    def before_instantiate_classes(self) -> None:
        """Set the settings that depend on machine, data and checkpoint, so that config.yaml contains them."""
        if photographs := self.config["data"]["photographs"]:
            self.config["model"]["images"] = Namespace(**asdict(rendered(photographs)))  # type: ignore[no-untyped-call]
        data = self.config["data"]
        if getattr(self.given, "images", None):  # the user's; training pictures may be missing
            data["folder"], data["size"], data["channels"], data["shift"], data["cutout"] = None, None, None, 0, 0
        _settle_images(self.config["model"], data, is_new=self.checkpoint is None)
        settings = self.config["trainer"]
        if isinstance(settings["logger"], list) and self.checkpoint is not None and self.checkpoint.is_own:
            for logger in settings["logger"]:
                name, known = logger["class_path"].rpartition(".")[2], self.checkpoint.own.get("loggers", {})
                if name in RUN_IDS and name in known:  # a run that branches off gets an id of its own
                    logger["init_args"][RUN_IDS[name]] = known[name] if self.checkpoint.in_place else None
        if settings["precision"] is None:
            settings["precision"] = precision.default_precision(settings["accelerator"])
        if settings["deterministic"] is None:
            # On other devices some operations have no deterministic kernel, such as max pooling on Apple's GPUs.
            settings["deterministic"] = True if precision.device_type(settings["accelerator"]) == "cpu" else "warn"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer; raise all errors before a run folder is made or changed."""
        settings = self.config_init["trainer"]
        if self.checkpoint is not None:
            continuing.refuse_changes(self.checkpoint, self.plain_config, self.command)
            self.model.load_state_dict(self.checkpoint.weights)
            self.model.limits = self.checkpoint.limits
        if self.weights is not None:
            self._start_from(self.weights)
        elif self.config["model"]["freeze"] and self.checkpoint is None:
            raise UserError("--freeze trains only the last layer: give the other layers' weights: --weights cnn.")
        self.timer = Timer(duration=settings["max_time"])
        if self.config["data"]["val_size"] == 0 and not self.config["data"]["fold"]:
            kwargs["limit_val_batches"] = 0  # not in config.yaml, which may become a recipe for another val_size
        labels = getattr(self.given, "name", None) or "", getattr(self.given, "note", None) or ""
        self.run_files = run_files.RunFiles(self.plain_config, self.name, self.given.typed, labels, self._use_run_dir)
        shows_bar = settings["enable_progress_bar"] and sys.stdout.isatty()
        kwargs["enable_progress_bar"] = shows_bar and self.command != "fit"  # Lightning's bar
        # Lightning calls Checkpoints last; LastCheckpoint comes after BestCheckpoint, to save its record.
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
            stopping.ValidateLastEpoch(),  # after the timer, which may stop the run
            stopping.StopOnSignal(self.config_init["last_checkpoint"]),
        ]
        if self.command != "fit" or not (isinstance(settings["logger"], list) or settings["fast_dev_run"]):
            kwargs["logger"] = False  # TensorBoard's is added once there is a run folder
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
                    f"--{part}.monitor: nothing logs {monitor}. Choose one of {', '.join(METRICS)}, or a metric"
                    " that a callback of yours logs (docs/recipes.md)."
                )
        optimizers = self.model.configure_optimizers()
        for group in optimizers["optimizer"].param_groups:
            if not 0 <= group["lr"] < float("inf"):  # some optimizers do not check it
                raise UserError(f"The optimizer's learning rates must be finite and at least 0, not {group['lr']}.")
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
                    f"{self.checkpoint.path} was saved within an epoch that {before} processes shared;"
                    f" {trainer.world_size} cannot continue it. Use --trainer.devices {before}, or a checkpoint from"
                    " the end of an epoch."
                )
            self.finished = continuing.why_finished(
                self.checkpoint, trainer, self.config_init["early_stopping"].patience
            )

    def _make_run_folder(self, trainer: Trainer) -> None:
        """Make the run folder, or use the existing one; ``RunFiles`` tells it to the other processes."""
        run_dir = self.run_dir if self.checkpoint is not None and self.checkpoint.in_place else None
        self.run_dir_is_new = run_dir is None
        if not processes.is_first_process():
            return
        begun = os.environ.pop(folder.RUN_DIR, None)
        run_dir = run_dir or (Path(begun) if begun else folder.new_run_dir(Path(trainer.default_root_dir), self.name))
        lock_run(run_dir)
        if begun and self.run_dir_is_new:
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
                if self.run_dir_is_new or type(logger).__name__ != "MLFlowLogger":  # MLflow's cannot change
                    logger.log_hyperparams(own.recipe)
            trainer.loggers = [own, *trainer.loggers]

    def start(self, method: str, loader: DataLoader[Batch] | None = None) -> None:
        """Call a method of the Trainer, with the DataModule or with a loader.

        Raises:
            UserError: the user's network or optimizer, or a library, raised an error; in one line.
        """
        process.keep_freed_memory()
        # With `deterministic`, torch also fills uninitialized memory, for code that reads it: 3 % of a step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if self.checkpoint is not None and method != "fit" and loader is None:
            own, trained_on = (config["data"].get("folder") for config in (self.config, self.checkpoint.settings))
            pictures, output = self.datamodule.own, getattr(self.given, "output", None)
            same_classes = self.datamodule.images.class_names == self.model.images.class_names  # else `setup` refuses
            # A run folder holds results on its own pictures only.
            if method == "validate" or (
                pictures and pictures.is_drawn if own == trained_on else output is None and same_classes
            ):
                continuing.refuse_other_pictures(
                    self.checkpoint,
                    self.datamodule.fingerprint,
                    "" if method == "validate" or own == trained_on else ", add --output",
                )
        # The model has its weights already; only `fit` restores more.
        path = str(self.checkpoint.path) if self.checkpoint is not None and method == "fit" else None
        verbosity = {"verbose": False} if method in ("validate", "test") else {}
        data = {"datamodule": self.datamodule} if loader is None else {"dataloaders": loader}
        if self.trainer.strategy.launcher is not None:  # else the others report a lost connection
            atexit.register(self.trainer.strategy.launcher.kill, signal.SIGKILL)
        with messages.errors_in_one_line("Training failed" if method == "fit" else f"`{method}` failed"):
            getattr(self.trainer, method)(self.model, **data, ckpt_path=path, weights_only=True, **verbosity)

    def _start_from(self, given: Checkpoint) -> None:
        """Copy the weights of ``--weights`` that fit the network, and print which."""
        print(f"Weights of {given.path}: {weights.start_from(self.model.network, given.weights)}", flush=True)
        theirs, ours = given.config["data"], self.config["data"]
        if (theirs.get("val_size") is not None and theirs.get("folder") == ours["folder"]) and (
            any(theirs.get(name) != ours[name] for name in ("val_size", "fold"))
            or (
                given.is_own
                and all(theirs.get(name) == ours[name] for name in ("size", "channels"))  # else checksums differ, too
                and given.own["data"] != self.datamodule.fingerprint
            )
        ):
            print(
                "They were trained on another split, and may have seen this run's validation"
                f" {'images' if ours['folder'] is None else 'or test pictures'}."
            )

    @cached_property
    def plain_config(self) -> dict[str, Any]:
        """Return all settings as plain values, including null, which may differ from the default."""
        return yaml.safe_load(self.parser.dump(self.config, skip_none=False))  # type: ignore[no-any-return]

    def _logger(self, run_dir: Path) -> tensorboard.RunLogger:
        config = self.plain_config
        recipe = {
            "recipe": self.name,
            **{key: config[key] for key in ("seed_everything", "model")},
            "data": {key: value for key, value in config["data"].items() if key != "root"},  # not of the recipe
            "trainer": {key: config["trainer"][key] for key in ("max_epochs", "precision", "callbacks")},
        }
        return tensorboard.RunLogger(run_dir, recipe, None if self.run_dir_is_new else self.checkpoint)


def _settle_images(model: Any, data: Any, is_new: bool) -> None:
    """Set the settings that depend on the images: for a new run from its data, else from the checkpoint.

    Changes settings of model and data, and the network's arguments ``num_classes``, ``channels`` and ``size``.
    """
    if data["val_size"] is None:
        data["val_size"] = default_val_size(data["folder"])
    if data["folder"] is not None:
        data["folder"] = str(Path(data["folder"]).expanduser().resolve())
        if is_new:
            images = own_pictures.load(Path(data["folder"]), data["size"], data["channels"]).images
            model["images"] = Namespace(**asdict(images))  # type: ignore[no-untyped-call]
        for name in ("size", "channels"):
            if data[name] not in (None, model["images"][name]):
                raise UserError(f"--data.{name} {data[name]}: the run's network takes {model['images'][name]}.")
            data[name] = model["images"][name]
    images = model["images"]
    decided = {"num_classes": len(images["class_names"]), "channels": images["channels"], "size": images["size"]}
    arguments = model["network"].get("init_args") or {}
    ours = model["network"]["class_path"].startswith("fashion_lightning.")
    for name in decided.keys() & arguments.keys():
        # In a network of the user's, `channels: 32` may mean something else.
        if ours or name == "num_classes" or arguments[name] in (None, getattr(FASHION_MNIST, name)):
            arguments[name] = decided[name]
    for name, parameter in inspect.signature(
        cast(type, pydoc.locate(model["network"]["class_path"]))
    ).parameters.items():
        no_type = parameter.default is parameter.annotation is inspect.Parameter.empty  # jsonargparse sets it to None
        if no_type and name in arguments and arguments[name] is None:
            raise UserError(f"{name} must be given: --model.network.init_args.{name}")
