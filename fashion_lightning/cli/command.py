"""The ``fashion-lightning`` command: what is answered before torch is imported, and how it ends.

``build.py`` builds what a command needs, ``commands.py`` runs it.
"""

import difflib
import os
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fashion_lightning.children import end_with_launcher, end_with_parent
from fashion_lightning.cli.flags import KNOWN, nearest
from fashion_lightning.cli.help import page
from fashion_lightning.cli.memory import OUT_OF_MEMORY, check_address_space, is_out_of_memory
from fashion_lightning.cli.recipes import names
from fashion_lightning.cli.signals import exit_on_signal
from fashion_lightning.cli.streams import check_environment, lost_output, prepare_process
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.version import __version__

OVERVIEW = """\
usage: fashion-lightning [--help] [--version] COMMAND [options]

Train, watch, resume, test and use Fashion-MNIST classifiers.

commands:
  fit         train; without options the default recipe, cnn
  validate    measure a checkpoint on the 5,000 validation images
  test        measure a checkpoint on the 10,000 test images
  predict     write classes and probabilities as CSV, of test images or yours
  repeat      fit a recipe with several seeds, and compare them
  sweep       search a recipe's settings for better ones
  compare     a table and learning curves of runs that are there
  export      one file that runs elsewhere: ONNX, torch.export or a page
  serve       a page to try a classifier on: drop, photograph or draw
  list        recipes with their cost and accuracy, and the runs that are there
  completion  a script for Tab in bash, zsh or fish

examples:
  fashion-lightning fit --config quick                       a recipe by name
  fashion-lightning fit --config quick --epochs 5 --lr 0.04  other settings
  fashion-lightning fit --ckpt_path quick --epochs 9         train it longer
  fashion-lightning test --ckpt_path quick                   test it
  tensorboard --logdir tensorboard_logs                      see the curves

fashion-lightning COMMAND --help explains a command on one screen.
FASHION_LIGHTNING_DEBUG=1 in the environment shows the traceback of an error.
"""

COMMANDS = ("fit", "validate", "test", "predict", "repeat", "sweep", "compare", "export", "serve", "list", "completion")

ASK = "_complete"
"""Not for a person: what the scripts of ``completion`` ask."""

MEANT = {
    "classify": "predict",
    "continue": "fit --ckpt_path RUN",
    "eval": "test",
    "evaluate": "test",
    "infer": "predict",
    "resume": "fit --ckpt_path RUN",
    "runs": "list",
    "recipes": "list",
    "server": "serve",
    "train": "fit",
    "web": "serve",
}
"""What commands of other programs are called here."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments after the program's name; by default those of the process, whose streams and signals
            are then the command's own.

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``; 2 for anything the user can put right;
            130 or 143 after Ctrl-C or SIGTERM.
    """
    if args is not None:
        with exit_on_signal(to_the_end=False):
            _answer(list(args))
        return
    prepare_process()
    with exit_on_signal(to_the_end=True):
        try:
            _answer(sys.argv[1:])
        except SystemExit as stop:
            if stop.code:
                raise
        if reason := lost_output():
            _fail(f"A part of what was printed could not be written ({reason}).")


def _answer(arguments: list[str]) -> None:
    first = arguments[0] if arguments else "--help"
    if first in ("--help", "-h", "help"):
        print(OVERVIEW, end="")
    elif first == "--version":
        print(f"fashion-lightning {__version__}")
    elif first in COMMANDS and {"--help", "-h"} & set(arguments):
        print(page(first), end="")
    elif first == ASK:
        from fashion_lightning.cli import completion

        completion.answer(arguments[1:], COMMANDS)
    elif first not in COMMANDS:
        _fail(_no_command(first, arguments))
    else:
        _run(arguments)
        return
    raise SystemExit(0)


def _no_command(first: str, arguments: list[str]) -> str:
    """What to type instead of a command that there is not."""
    known = f"choose from {', '.join(COMMANDS)}, or see fashion-lightning --help"
    close = [MEANT[first]] if first in MEANT else difflib.get_close_matches(first, COMMANDS, n=1)
    if first.startswith("-"):
        meant = shlex.join(["fashion-lightning", "fit", *arguments])
        return f"a command comes first: {meant}; {known}"
    if not close and first in names():
        close = [f"fit --config {first}"]
    return f"there is no command {first!r}; {known}{f' (did you mean fashion-lightning {close[0]}?)' if close else ''}"


def _run(arguments: list[str]) -> None:
    began = time.monotonic()
    try:
        command, *rest = arguments
        if command == "list":
            from fashion_lightning.cli import listing

            listing.main(rest)
            return
        if command == "completion":
            from fashion_lightning.cli import completion

            completion.main(rest)
            return
        check_environment()
        check_address_space()
        end_with_parent()
        end_with_launcher()
        if command != "compare":
            _refuse_bare_name(command, rest)
        if command in ("validate", "test", "predict", "export", "serve"):
            _require_checkpoint(command, rest)
        if "--help_all" in rest:
            from fashion_lightning.cli import fit

            fit.run(["fit" if command in ("repeat", "sweep") else command, "--help"], began)
        elif command == "repeat":
            from fashion_lightning.cli import repeat

            repeat.main(rest)
        elif command == "sweep":
            from fashion_lightning.cli import sweep

            sweep.main(rest)
        elif command == "compare":
            from fashion_lightning.cli import compare

            compare.main(rest)
        elif command == "export":
            from fashion_lightning.cli import export

            export.main(rest)
        elif command == "serve":
            from fashion_lightning.cli import serve

            serve.main(rest)
        else:
            from fashion_lightning.cli import fit

            fit.run(arguments, began)
    except UserError as error:
        _fail(str(error))
    except Exception as error:
        if is_out_of_memory(error):
            _fail(OUT_OF_MEMORY)
        if not isinstance(error, OSError):
            raise
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def _refuse_bare_name(command: str, options: list[str]) -> None:
    """Say where a recipe or run belongs that follows a command without its option."""
    if not options or options[0].startswith("-"):
        return
    from fashion_lightning.runs.folder import run_dir_of

    given, *others = options
    is_run = command in ("validate", "test", "predict", "export", "serve") or (
        given not in names() and run_dir_of(given) is not None
    )
    option, what = ("--ckpt_path", "run") if is_run else ("--config", "recipe")
    if command in ("repeat", "sweep") and is_run:
        raise UserError(f"{command} takes a recipe, not a run: fashion-lightning {command} --config RECIPE")
    meant = shlex.join(["fashion-lightning", command, option, given, *others])
    raise UserError(f"{command} takes its {what} after {option}: {meant}")


def _require_checkpoint(command: str, options: list[str]) -> None:
    """Stop before random weights are scored, with the command that the user wanted."""
    given = {option.partition("=")[0] for option in options}
    if given & {"--ckpt_path", "--help_all", "--print_config"}:
        return
    for flag in sorted(given):
        if flag.startswith("-") and nearest(flag, KNOWN) == "--ckpt_path":
            typed = [
                option.replace(flag, "--ckpt_path", 1) if option.startswith(flag) else option for option in options
            ]
            meant = shlex.join(["fashion-lightning", command, *typed])
            raise UserError(f"{command} has no {flag} (did you mean --ckpt_path?): {meant}")
    from fashion_lightning.runs.folder import newest_run

    run = newest_run()
    advice = f"fashion-lightning {command} --ckpt_path {run or Path('tensorboard_logs/cnn/version_0')}"
    which = " (your newest run)" if run else "; there are no runs here yet, train one first: fashion-lightning fit"
    raise UserError(f"{command} needs a trained checkpoint: {advice}{which}")


def _fail(message: str) -> NoReturn:
    if os.environ.get("FASHION_LIGHTNING_DEBUG", "0") != "0" and sys.exception() is not None:
        traceback.print_exc()
    print(f"error: {one_line(message)}", file=sys.stderr)
    raise SystemExit(2)
