"""The parser of a command and its help page, made from the table in ``commands.py``."""

import argparse
import functools
import textwrap
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from fashion_lightning.cli.commands import COMMANDS, Command
from fashion_lightning.cli.flags import expand, unknown_flag
from fashion_lightning.cli.options import Option
from fashion_lightning.errors import UserError

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
