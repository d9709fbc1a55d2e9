"""Declare each option of the subcommands, and each short name of a setting, once."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Option:
    """An option of a command, or the short name of a setting."""

    name: str
    """As it is typed; without dashes for a positional argument."""
    value: str
    """The name of its value in the help; empty for a switch. The shell completes RECIPE, RUN, FILE, FOLDER and PATH."""
    meaning: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of argparse's ``add_argument``."""
    setting: str = ""
    """The setting that a short name means. LightningCLI parses settings; argparse parses all other options."""


def from_on(least: int, default: int | None) -> Mapping[str, Any]:
    """Return argparse keywords for a whole number of at least ``least``."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text!r}")
        return int(text)

    return {"type": parse, "default": default}


def printable(longest: int) -> Mapping[str, Any]:
    """Return argparse keywords for one line of text."""

    def parse(text: str) -> str:
        if not text.strip() or not text.isprintable() or len(text) > longest:
            raise argparse.ArgumentTypeError(
                f"needs one line of 1 to {longest} printable characters after it, not {text[:40]!r}"
            )
        return text.strip()

    return {"type": parse}


RUN = "a run folder, a recipe's name (its newest run), a run's --name, or a checkpoint file"
CONFIG = Option(
    "--config",
    "RECIPE",
    "a recipe, a preset or a YAML file; later ones override",
    {"default": [], "action": "append"},
)
PASSED_ON = replace(CONFIG, setting="--config")
CKPT_PATH = Option("--ckpt_path", "RUN", f"use the best checkpoint of this run: {RUN}")
NAME = Option("--name", "TEXT", "your own name for the run", printable(60))
NOTE = Option("--note", "TEXT", "a line about the run; `fashion-lightning list` shows it", printable(500))
RUNS = Option("--runs", "FOLDER", "folder of all runs; tensorboard_logs by default", printable(4096))
TTAS = ("none", "flip", "flip_shift")
OWN_NETWORK = Option("--network", "CLASS", "import path of your own network", {"default": ""})

COMPUTING = (
    Option("--devices", "N", "number of processes or GPUs", setting="--trainer.devices"),
    Option(
        "--precision",
        "HOW",
        "bf16-mixed, 32-true …; the machine sets the default",
        {"choices": ("16-mixed", "32-true", "bf16-mixed")},
        setting="--trainer.precision",
    ),
)
TRAINING = (
    Option("--epochs", "N", "epochs, counted from the start of the run", setting="--trainer.max_epochs"),
    Option("--lr", "X", "learning rate of the optimizer", setting="--model.optimizer.init_args.lr"),
    Option("--batch_size", "N", "training images in a step", setting="--data.batch_size"),
    Option("--optimizer", "NAME", "muon, adam, sgd …, or a class path", setting="--model.optimizer"),
    Option("--network", "NAME", "cnn, mlp, convnet, wideresnet, or my_module.MyNetwork", setting="--model.network"),
    Option(
        "--flip",
        "HOW",
        "mirror images: none, random, alternating",
        {"choices": ("alternating", "none", "random")},
        setting="--data.flip",
    ),
    Option("--shift", "PIXELS", "shift images at random by up to this many pixels", setting="--data.shift"),
    Option("--cutout", "PIXELS", "black out a random square of that width", setting="--data.cutout"),
    Option("--prune", "SHARE", "share of images that each epoch leaves out: easy ones", setting="--data.prune"),
    Option("--data.folder", "FOLDER", "your own pictures, with a folder for each class", setting="--data.folder"),
    Option("--fold", "K/N", "validate on the K-th of N folds of the training images", setting="--data.fold"),
    Option("--balanced", "", "draw each class equally often", setting="--data.balanced"),
    Option("--patience", "N", "stop after N validations without improvement", setting="--early_stopping.patience"),
    *COMPUTING,
)
EVALUATION = (
    Option("--tta", "HOW", "average views: none, flip, flip_shift", {"choices": TTAS}, setting="--model.tta"),
    *COMPUTING,
)
