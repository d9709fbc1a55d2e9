"""Short names for what everyone types: ``--epochs`` is ``--trainer.max_epochs``, ``adam`` is ``torch.optim.Adam``.

The one table for the command line, its help and its completion. A short name is replaced by what it stands for
before anything else reads the command line; every message names a setting as a recipe does.
"""

import difflib
import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fashion_lightning.errors import UserError
from fashion_lightning.short_names import MODULES

TRAINS, EVALUATES = ("fit", "repeat", "sweep"), ("validate", "test", "predict")
COMMANDS = (*TRAINS, *EVALUATES)


class Flag(NamedTuple):
    """One setting that has a short name."""

    short: str
    long: str
    value: str
    """What follows it, for the help."""
    meaning: str
    commands: tuple[str, ...] = TRAINS
    """Those that it does something for."""
    choices: tuple[str, ...] = ()


FLAGS = (
    Flag("--epochs", "--trainer.max_epochs", "N", "epochs, counted from the start of the run"),
    Flag("--lr", "--model.optimizer.init_args.lr", "X", "learning rate of the optimizer"),
    Flag("--batch_size", "--data.batch_size", "N", "training images in a step"),
    Flag("--seed", "--seed_everything", "N", "the run's seed, 0 by default", ("fit",)),
    Flag("--optimizer", "--model.optimizer", "NAME", "muon, adam, sgd …, or a class path"),
    Flag("--network", "--model.network", "NAME", "cnn, mlp, convnet, wideresnet, or my_module.MyNetwork"),
    Flag(
        "--flip",
        "--data.flip",
        "HOW",
        "mirror images: none, random, alternating",
        TRAINS,
        ("alternating", "none", "random"),
    ),
    Flag("--shift", "--data.shift", "PIXELS", "shift images by up to so many"),
    Flag("--cutout", "--data.cutout", "PIXELS", "cut out squares of that side"),
    Flag("--prune", "--data.prune", "SHARE", "leave out that share of the images, easy ones"),
    Flag("--patience", "--early_stopping.patience", "N", "stop after N validations without a better one"),
    Flag(
        "--tta",
        "--model.tta",
        "HOW",
        "average views: none, flip, flip_shift",
        (*EVALUATES, "export"),
        ("flip", "flip_shift", "none"),
    ),
    Flag(
        "--images",
        "--images",
        "PATH",
        "image files, a folder or a glob, in place of the test images",
        ("predict",),
    ),
    Flag("--devices", "--trainer.devices", "N", "processes or GPUs to compute with", COMMANDS),
    Flag(
        "--precision",
        "--trainer.precision",
        "HOW",
        "bf16-mixed, 32-true …; by the machine unless given",
        COMMANDS,
        ("16-mixed", "32-true", "bf16-mixed"),
    ),
)

LONG = {flag.short: flag.long for flag in FLAGS}
KNOWN = {*LONG, *LONG.values(), "--ckpt_path", "--config", "--name", "--note", "--output", "--preview"}
"""What a misspelt flag may mean, before the parser with all of them is made."""

CLASSES = {"--model.network": "network", "--model.optimizer": "optimizer", "--model.scheduler": "scheduler"}
"""Settings that name a class, and their parts in a config."""

OTHERS_SAY = {
    "--checkpoint": "--ckpt_path",
    "--ckpt": "--ckpt_path",
    "--data_dir": "--data.root",
    "--device": "--trainer.accelerator",
    "--epoch": "--epochs",
    "--gpus": "--devices",
    "--learning_rate": "--lr",
    "--logdir": "--trainer.default_root_dir",
    "--model_path": "--ckpt_path",
    "--n_epochs": "--epochs",
    "--num_epochs": "--epochs",
    "--optim": "--optimizer",
    "--output_dir": "--trainer.default_root_dir",
    "--random_seed": "--seed",
    "--recipe": "--config",
    "--resume": "--ckpt_path",
    "--run": "--ckpt_path",
    "--scheduler": "--model.scheduler",
    "--weight_decay": "--model.optimizer.init_args.weight_decay",
}
"""What flags of other programs are called here."""


def class_names(part: str) -> dict[str, str]:
    """Class paths of this package and of torch by their short names: ``adamw``, ``cosinedecay``, ``cnn``."""
    return {name.lower(): f"{module}.{name}" for module, names in reversed(MODULES[part]) for name in names}


def expand(arguments: Sequence[str]) -> list[str]:
    """A command line in which every short name is replaced by what it stands for.

    Raises:
        UserError: a value is missing, or a class goes by no such name; says which one may be meant.
    """
    expanded: list[str] = []
    part = ""  # of the class that is named next
    arguments = _images_as_list(arguments)
    for argument, following in zip(arguments, [*arguments, "--"][1:], strict=True):
        option, equals, value = argument.partition("=")
        if option in LONG and not (value if equals else not following.startswith("--")):
            raise UserError(f"{option} needs a value after it.")
        if argument.startswith("--"):
            option = LONG.get(option, option)
            part = CLASSES.get(option, "")
            expanded.append(f"{option}={_class_path(value, option)}" if equals and part else f"{option}{equals}{value}")
        else:
            expanded.append(_class_path(argument, expanded[-1]) if part else argument)
            part = ""
    return expanded


def _images_as_list(arguments: Sequence[str]) -> list[str]:
    """A command line in which several pictures that follow their flag, as a shell makes of ``*.jpg``, are one list."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] not in ("--images", "--data.images"):
            continue
        joined[-1] = "--images"
        end = next((number for number, argument in enumerate(rest) if argument.startswith("--")), len(rest))
        files, rest = rest[:end], rest[end:]
        joined += files if len(files) < 2 else [json.dumps(files, ensure_ascii=False)]
    return joined


def _class_path(value: str, option: str) -> str:
    """The class path of a short name; other values as they are."""
    part = CLASSES[option]
    names = class_names(part)
    if path := names.get(value.lower().replace("_", "")):
        return path
    if not value.isidentifier() or value == "null" or Path(value).exists():
        return value
    close = difflib.get_close_matches(value.lower(), names, n=1)
    hint = f"did you mean {close[0]}? By name" if close else "by name"
    raise UserError(
        f"{option}: there is no {part} {value} ({hint}: {', '.join(sorted(names))}). Any other goes by its class path:"
        f" my_module.{value if value[0].isupper() else 'MyClass'}"
    )


def nearest(flag: str, known: Collection[str]) -> str | None:
    """The flag that a misspelt or unknown one may mean.

    Args:
        flag: as it was typed, without its value.
        known: every flag that there is, short ones among them.
    """
    spelt = f"--{flag.lstrip('-').replace('-', '_').lower()}"
    short = f"--{spelt[2:].rpartition('.')[2]}"
    for candidate in (spelt, OTHERS_SAY.get(spelt), short, LONG.get(short)):
        if candidate in known:
            return candidate
    same_ending = sorted((name for name in known if name.endswith(f".{spelt[2:]}")), key=len)
    close = difflib.get_close_matches(spelt, _by_last_word(known), n=1, cutoff=0.75)
    return next(iter([*same_ending, *(_by_last_word(known)[word] for word in close)]), None)


def _by_last_word(known: Iterable[str]) -> dict[str, str]:
    """Flags by their whole names and by the part behind the last dot."""
    whole = {name: name for name in known if name.startswith("--")}
    return {f"--{name.rpartition('.')[2]}": name for name in whole if "." in name} | whole
