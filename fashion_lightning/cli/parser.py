"""Parse and explain a command as the table in ``commands.py`` declares it: options, short names, misspelt flags.

A short name is replaced by what it stands for before anything else reads the settings; every message names a setting as
a recipe does.
"""

import argparse
import difflib
import functools
import textwrap
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fashion_lightning.cli.commands import COMMANDS, SHORT_NAMES, Command
from fashion_lightning.cli.options import Option
from fashion_lightning.errors import UserError
from fashion_lightning.short_names import MODULES

WIDTH = 80
"""Characters of a line."""

OVERVIEW = """\
usage: fashion-lightning [--help] [--version] COMMAND [options]

Train, watch, resume, test and use Fashion-MNIST classifiers.

commands:
{commands}

examples:
  fashion-lightning fit --config quick                       a recipe by name
  fashion-lightning fit --config quick --epochs 5 --lr 0.04  other settings
  fashion-lightning fit --ckpt_path quick --epochs 9         train it longer
  fashion-lightning test --ckpt_path quick                   test it
  tensorboard --logdir tensorboard_logs                      see the curves

fashion-lightning COMMAND --help explains a command on one screen.
FASHION_LIGHTNING_DEBUG=1 in the environment shows the traceback of an error.
""".format(commands="\n".join(f"  {command.name:12}{command.summary}" for command in COMMANDS.values()))


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def parse(name: str, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse the options of a command that the table declares.

    Returns:
        Their values, with ``command``, the command line as ``typed``, and ``began`` in seconds of
        ``time.monotonic()``; and the settings, as ``--setting=value``.

    Raises:
        UserError: an option cannot be used, or the command takes no settings and something is left.
    """
    command = COMMANDS[name]
    parser = _parser(command)
    for option in command.options:
        if not option.setting:
            names = (option.name, *([option.also] if option.also else []))
            required = {"required": True} if option.required else {}
            parser.add_argument(*names, **{**_keywords(option), **required})
    given = argparse.Namespace(command=name, typed=(name, *arguments), began=time.monotonic())
    given, others = parser.parse_known_args(arguments, given)
    if others and not command.settings:
        raise UserError(unknown_flag(others[0], {option.name for option in command.options}))
    return given, expand(others)


def page(command: Command) -> str:
    """Format the help of a command: at most 45 lines of 80 characters."""
    parser = _parser(command)
    options, settings = parser.add_argument_group("options"), parser.add_argument_group(command.settings)
    for option in command.options:
        is_short = option.setting not in ("", option.name)
        (settings if is_short else options).add_argument(option.name, help=option.meaning, **_keywords(option))
    return parser.format_help()


def _parser(command: Command) -> OneLineParser:
    lines = [line if "fashion" in line else f"fashion-lightning {line}" for line, _ in command.examples]
    widest = max(len(line) for line, (_, what) in zip(lines, command.examples) if what)
    examples = [f"  {line:{widest}}  {what}".rstrip() for line, (_, what) in zip(lines, command.examples)]
    closing = textwrap.wrap(command.closing, WIDTH, break_on_hyphens=False, break_long_words=False)
    return OneLineParser(
        usage=f"fashion-lightning {command.usage}",
        description=textwrap.fill(command.about, WIDTH),
        epilog="\n".join(["examples:", *examples, *([""] if closing else []), *closing]),
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=WIDTH),
        add_help=False,
        allow_abbrev=False,
    )


def _keywords(option: Option) -> dict[str, Any]:
    """Translate an option into keywords of ``add_argument``."""
    if not option.value:
        return {"action": "store_true"}
    keywords = {"metavar": option.value, "type": option.type, "default": option.default, "choices": option.choices}
    if option.repeats:
        return {**keywords, "action": "append"}
    return {**keywords, "nargs": option.nargs}


CLASSES = {"--model.network": "network", "--model.optimizer": "optimizer", "--model.scheduler": "scheduler"}
"""Settings that name a class, and their parts in a config."""

SYNONYMS = {
    "--checkpoint": "--ckpt_path",
    "--ckpt": "--ckpt_path",
    "--data_dir": "--data.root",
    "--device": "--trainer.accelerator",
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
"""Flags of other programs, and what they are called here."""


def class_names(part: str) -> dict[str, str]:
    """Return class paths of this package and of torch by their short names: ``adamw``, ``cosinedecay``, ``cnn``."""
    return {name.lower(): f"{module}.{name}" for module, names in reversed(MODULES[part]) for name in names}


def expand(arguments: Sequence[str]) -> list[str]:
    """Write each setting as ``--setting=value``, with every short name replaced by what it stands for.

    Raises:
        UserError: a value is missing, a word belongs to no flag, or a class goes by no such name.
    """
    expanded: list[str] = []
    words = list(arguments)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if not option.startswith("--"):
            raise UserError(unknown_flag(option, SHORT_NAMES))
        if not equals and words and not words[0].startswith("--"):
            value = words.pop(0)
        if option in SHORT_NAMES and not value:
            raise UserError(f"{option} needs a value after it.")
        setting = SHORT_NAMES.get(option, option)
        expanded.append(f"{setting}={_class_path(value, setting)}" if value or equals else setting)
    return expanded


def _class_path(value: str, option: str) -> str:
    """Return the class path of a short name, and other values as they are."""
    part = CLASSES.get(option)
    if part is None:
        return value
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
    """Find the flag that a misspelt or unknown one may mean.

    Args:
        flag: as it was typed, without its value.
        known: every flag that there is, short ones among them.
    """
    spelt = f"--{flag.lstrip('-').replace('-', '_').lower()}"
    last = {f"--{name.rpartition('.')[2].lstrip('-')}": name for name in sorted(known, key=len, reverse=True)}
    by_spelling = last | {name: name for name in known}
    short = f"--{spelt[2:].rpartition('.')[2]}"
    for candidate in (spelt, SYNONYMS.get(spelt), short, SHORT_NAMES.get(short)):
        if candidate in by_spelling:
            return by_spelling[candidate]
    close = difflib.get_close_matches(spelt, by_spelling, n=1, cutoff=0.75)
    return by_spelling[close[0]] if close else None


def unknown_flag(argument: str, known: Collection[str]) -> str:
    """Say that an argument is not understood, and which flag may be meant."""
    flag = argument.partition("=")[0]
    if not flag.startswith("-"):
        return f"unrecognized arguments: {argument} (a recipe follows --config, a run --ckpt_path)"
    close = nearest(flag, known)
    hint = "another command takes it" if close == flag else f"did you mean {close}?"
    return f"unrecognized arguments: {flag}{f' ({hint})' if close else ''}"
