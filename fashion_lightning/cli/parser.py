"""Parse, explain and complete commands as the table in ``commands.py`` declares them.

Short names are replaced by full names before anything else reads the settings, so messages use full names;
``command.py`` puts the typed short names back.
"""

import argparse
import difflib
import functools
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fashion_lightning.cli.commands import COMMANDS, OF_A_RECIPE, OF_THE_RUN, SHORT_NAMES, SWITCHES, Command
from fashion_lightning.cli.options import Option
from fashion_lightning.cli.recipes import names as recipe_names
from fashion_lightning.errors import UserError
from fashion_lightning.runs.card import NETWORKS
from fashion_lightning.runs.folder import LOGS

WIDTH = 80
"""Characters in a line of the help."""

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
    """Raises errors as ``UserError``, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def parse(name: str, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse the options of a command that the table declares.

    Returns:
        Their values, with ``command``, the command line as ``typed``, and the folder of all ``runs``; and the
        settings, as ``--setting=value``.

    Raises:
        UserError: an option cannot be used, or the command takes no settings and something is left.
    """
    command = COMMANDS[name]
    parser = _parser(command)
    for option in command.options:
        if not option.setting:
            add_option(parser, option)
    given = argparse.Namespace(command=name, typed=(name, *arguments), runs=LOGS)
    given, others = parser.parse_known_intermixed_args(arguments, given)
    if others and not command.settings:
        raise UserError(unknown_flag(others[0], {option.name for option in command.options}))
    if given.runs is not LOGS:
        others.append(f"--trainer.default_root_dir={given.runs}")
        given.runs = Path(given.runs).expanduser()
        if (command.of_a_run or not command.settings) and not given.runs.is_dir():  # other commands create it
            raise UserError(f"There is no folder {given.runs}; --runs takes the folder of all runs.")
    return given, expand(others)


def page(command: Command) -> str:
    """Format the help of a command: at most 45 lines of 80 characters."""
    parser = _parser(command)
    options, settings = (
        parser.add_argument_group("options"),
        parser.add_argument_group(f"settings ({command.settings}, unless typed)"),
    )
    for option in command.options:
        is_short = option.setting not in ("", option.name)
        add_option(settings if is_short else options, option)
    return parser.format_help()


def _parser(command: Command) -> OneLineParser:
    lines = [line if "fashion" in line else f"fashion-lightning {line}" for line, _ in command.examples]
    widest = max(len(line) for line, (_, what) in zip(lines, command.examples) if what)
    examples = [f"  {line:{widest}}  {what}".rstrip() for line, (_, what) in zip(lines, command.examples)]
    about = (OF_THE_RUN if command.of_a_run else OF_A_RECIPE) if command.settings else ""
    closing = textwrap.wrap(about, WIDTH, break_on_hyphens=False, break_long_words=False)
    return OneLineParser(
        usage=f"fashion-lightning {command.usage}",
        description=textwrap.fill(command.about, WIDTH),
        epilog="\n".join(["examples:", *examples, *([""] if closing else []), *closing]),
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=WIDTH),
        add_help=False,
        allow_abbrev=False,
    )


def add_option(parser: Any, option: Option) -> Any:
    """Add an option to a parser of argparse, or to a group of its help; return its action."""
    if not option.value:
        return parser.add_argument(option.name, help=option.meaning, action="store_true")
    return parser.add_argument(option.name, metavar=option.value, help=option.meaning, **option.keywords)


CLASSES: dict[str, dict[str, Sequence[str]]] = {
    "--model.network": {"fashion_lightning.networks": NETWORKS},
    "--model.optimizer": {
        "torch.optim": (
            *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam"),
            *("RMSprop", "Rprop", "SGD"),
        ),
        "fashion_lightning.optimizers": ("Muon",),
    },
    "--model.scheduler": {
        "torch.optim.lr_scheduler": (  # those that count epochs and whose arguments are numbers
            *("ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR"),
        ),
        "fashion_lightning.schedules": ("LinearDecay", "CosineDecay"),
    },
}
"""Settings that name a class, with the modules and names of known classes."""

SYNONYMS = {
    "--checkpoint": "--ckpt_path",
    "--ckpt": "--ckpt_path",
    "--device": "--trainer.accelerator",
    "--gpus": "--devices",
    **{f"--{name}": f"--format {name}" for name in ("csv", "json", "latex", "markdown")},
    "--learning_rate": "--lr",
    "--logdir": "--runs",
    "--num_epochs": "--epochs",
    "--recipe": "--config",
    "--resume": "--ckpt_path",
    "--run": "--ckpt_path",
}
"""Flags of other programs, and their names here."""


def class_names(setting: str) -> dict[str, str]:
    """Return class paths of this package and of torch by their short names: ``adamw``, ``cosinedecay``, ``cnn``."""
    return {name.lower(): f"{module}.{name}" for module, names in CLASSES[setting].items() for name in names}


def expand(arguments: Sequence[str]) -> list[str]:
    """Return each setting as ``--setting=value``, with short names replaced by full names.

    Raises:
        UserError: a value is missing, a word does not follow a flag, or no class has this name.
    """
    expanded: list[str] = []
    words = list(arguments)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if not option.startswith("--"):
            raise UserError(unknown_flag(option, SHORT_NAMES))
        if not equals and option in SWITCHES:
            value = "true"
        elif not equals and words and not words[0].startswith("--"):
            value = words.pop(0)
        if option in SHORT_NAMES and not value:
            raise UserError(f"{option} needs a value after it.")
        setting = SHORT_NAMES.get(option, option)
        expanded.append(f"{setting}={_class_path(value, setting)}" if value or equals else setting)
    return expanded


def _class_path(value: str, option: str) -> str:
    """Return the class path for a short name of a class; return other values unchanged."""
    if option not in CLASSES:
        return value
    names = class_names(option)
    if path := names.get(value.lower().replace("_", "")):
        return path
    if value.endswith(".py"):
        raise UserError(f"{option}: {value} is a file; name the class in it, such as {Path(value).stem}.MyNetwork")
    if not value.isidentifier() or value == "null" or Path(value).exists():
        return value
    raise UserError(
        f"{option}: there is no {option.rpartition('.')[2]} {value} (known names: {', '.join(sorted(names))}). Give"
        f" any other by its class path: my_module.{value if value[0].isupper() else 'MyClass'}"
    )


def nearest(flag: str, known: Collection[str]) -> str | None:
    """Find the flag that a misspelt or unknown one may mean.

    Args:
        flag: as it was typed, without its value.
        known: all flags, including short ones.
    """
    spelt = f"--{flag.lstrip('-').replace('-', '_').lower()}"
    last = {f"--{name.rpartition('.')[2].lstrip('-')}": name for name in sorted(known, key=len, reverse=True)}
    by_spelling = last | {name: name for name in known}
    meant, space, value = SYNONYMS.get(spelt, spelt).partition(" ")
    close = difflib.get_close_matches(meant, by_spelling, n=1, cutoff=0.75)
    return f"{by_spelling[close[0]]}{space}{value}" if close else None


def unknown_flag(argument: str, known: Collection[str]) -> str:
    """Return the error for an unknown argument, with a suggestion."""
    flag = argument.partition("=")[0]
    if not flag.startswith("-"):
        place = "put --config before a recipe, --ckpt_path before a run, --runs before a folder of runs"
        return f"unrecognized arguments: {argument} ({place})"
    close = nearest(flag, known)
    hint = "another command takes it" if close == flag else f"did you mean {close}?"
    return f"unrecognized arguments: {flag}{f' ({hint})' if close else ''}"


def print_completion(given: argparse.Namespace, _: Sequence[str]) -> None:
    """Print a shell script that completes commands, options, recipes, classes, choices and files.

    jsonargparse's completions would take minutes, because they look at every class of torch.
    """
    import shtab

    parser = argparse.ArgumentParser("fashion-lightning")
    commands = parser.add_subparsers()
    for command in COMMANDS.values():
        subparser = commands.add_parser(command.name, help=command.summary, add_help=False)
        for option in command.options:
            action = add_option(subparser, option)
            if option.setting in CLASSES:
                action.choices = sorted(class_names(option.setting))
            elif option.value == "RECIPE":
                action.choices = recipe_names()
            elif option.value in ("RUN", "FILE", "FOLDER", "PATH"):
                action.complete = shtab.FILE
    print(shtab.complete(parser, given.shell))
