"""Run the ``fashion-lightning`` command: answer help without importing torch, and turn errors into exit codes."""

import logging
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from fashion_lightning.cli.commands import COMMANDS, SHORT_NAMES, Command
from fashion_lightning.cli.parser import OVERVIEW, nearest, page, parse
from fashion_lightning.cli.process import OUT_OF_MEMORY, exit_on_signal, is_out_of_memory, never_fail_to_print
from fashion_lightning.cli.recipes import names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.runs.processes import end_with_starter, is_first_process
from fashion_lightning.version import __version__

SYNONYMS = {
    "continue": "fit --ckpt_path RUN",
    "eval": "test",
    "evaluate": "test",
    "resume": "fit --ckpt_path RUN",
    "train": "fit",
}
"""Commands of other programs, and their names here."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments after the program's name; by default those of the process, whose streams and signals the
            command then takes over.

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``; 2 for errors that the user can fix; 130 or 143 after
            Ctrl-C or SIGTERM.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns if it needs a temporary cache
    if args is None:
        never_fail_to_print()
    with exit_on_signal(to_the_end=args is None):
        _answer(sys.argv[1:] if args is None else list(args))


def _answer(arguments: list[str]) -> None:
    first, *rest = arguments or ["--help"]
    if first in ("--help", "-h", "help"):
        print(OVERVIEW, end="")
    elif first == "--version":
        print(f"fashion-lightning {__version__}")
    elif first not in COMMANDS:
        _fail(_no_command(first, arguments))
    elif {"--help", "-h"} & set(rest):
        print(page(COMMANDS[first]), end="")
    else:
        _run(COMMANDS[first], rest)
        return
    raise SystemExit(0)


def _no_command(first: str, arguments: list[str]) -> str:
    """Return the error for an unknown command, with a suggestion."""
    known = f"choose from {', '.join(COMMANDS)}, or see fashion-lightning --help"
    if first.startswith("-"):
        return f"a command comes first: {shlex.join(['fashion-lightning', 'fit', *arguments])}; {known}"
    close = (nearest(first, {f"--{name}" for name in (*COMMANDS, *names())}) or "").removeprefix("--")
    meant = SYNONYMS.get(first) or (f"fit --config {close}" if close in names() else close)
    return f"there is no command {first!r}; {known}{f' (did you mean fashion-lightning {meant}?)' if meant else ''}"


def _run(command: Command, arguments: list[str]) -> None:
    try:
        end_with_starter()
        if "--help_all" in arguments:
            print(page(command))
            if command.settings:
                from fashion_lightning.cli import fit

                fit.print_settings(command.name if command.of_a_run else "fit")
            return
        given, settings = parse(command.name, arguments)
        if command.of_a_run and given.ckpt_path is None and "--print_config" not in settings:
            from fashion_lightning.runs.folder import as_typed, newest_of, newest_run_hint

            run = as_typed(newest) if (newest := newest_of(*given.runs.glob("*"))) else "RUN"
            raise UserError(
                f"{command.name} needs a trained checkpoint: fashion-lightning {command.name} --ckpt_path {run}."
                f"{newest_run_hint(given.runs)}"
            )
        module, _, function = command.run.partition(":")
        getattr(import_module(f"fashion_lightning.cli.{module}"), function)(given, settings)
    except UserError as error:
        message = str(error)  # it names settings by their long names
        for typed in {argument.partition("=")[0] for argument in arguments} & SHORT_NAMES.keys():
            message = re.sub(rf"(?<![\w./-])(--|(?=\w+\.)){SHORT_NAMES[typed][2:]}(?![\w.]*\w)", typed, message)
        _fail(message)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(OUT_OF_MEMORY)
        if isinstance(error, OSError):
            _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        raise


def _fail(message: str) -> NoReturn:
    if not is_first_process():
        time.sleep(5)  # the first process mostly has the same error, prints it, and ends this one
    if os.environ.get("FASHION_LIGHTNING_DEBUG", "0") != "0" and sys.exception() is not None:
        traceback.print_exc()
    print(f"error: {one_line(message)}", file=sys.stderr)
    raise SystemExit(2)
