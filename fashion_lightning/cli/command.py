"""The ``fashion-lightning`` command: what is answered before torch is imported, and how it ends.

``build.py`` builds what a command needs, ``commands.py`` runs it.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fashion_lightning import __version__
from fashion_lightning.cli import fit_settings
from fashion_lightning.cli.memory import OUT_OF_MEMORY, check_address_space, is_out_of_memory
from fashion_lightning.cli.parent import end_with_parent
from fashion_lightning.cli.signals import exit_on_signal
from fashion_lightning.cli.streams import check_environment, lost_output, prepare_process
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.runs.folder import newest_run

OVERVIEW = """\
usage: fashion-lightning [--help] [--version] COMMAND [options]

Train, watch, resume, test and use Fashion-MNIST classifiers.

commands:
  fit       train; without options the default recipe, cnn
  validate  measure a checkpoint on the 5,000 validation images
  test      measure a checkpoint on the 10,000 test images
  predict   write classes and probabilities as CSV, for the test images or --data.images
  repeat    fit a recipe with several seeds, and compare them
  compare   a table and learning curves of runs that are there: mean ± sd over seeds
  export    one file that runs without this package: ONNX, or torch.export

examples:
  fashion-lightning fit --config quick --trainer.max_epochs 3       a recipe by name, or a YAML file
  fashion-lightning fit --ckpt_path tensorboard_logs/cnn/version_0    continue that run, in place
  fashion-lightning test --ckpt_path tensorboard_logs/cnn/version_0   its best checkpoint
  tensorboard --logdir tensorboard_logs

fashion-lightning COMMAND --help names every option.
FASHION_LIGHTNING_DEBUG=1 in the environment shows the whole traceback of an error.
"""

COMMANDS = ("fit", "validate", "test", "predict", "repeat", "compare", "export")


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
    if first in ("--help", "-h"):
        print(OVERVIEW, end="")
    elif first == "--version":
        print(f"fashion-lightning {__version__}")
    elif first not in (*COMMANDS, fit_settings.COMMAND):
        _fail(f"there is no command {first!r}; choose from {', '.join(COMMANDS)}, or see fashion-lightning --help")
    else:
        _run(arguments)
    if first in ("--help", "-h", "--version"):
        raise SystemExit(0)


def _run(arguments: list[str]) -> None:
    began = time.monotonic()
    try:
        check_environment()
        check_address_space()
        end_with_parent()
        _require_checkpoint(arguments)
        command, *rest = arguments
        if command == "repeat":
            from fashion_lightning.cli import repeat

            repeat.main(rest)
        elif command == "compare":
            from fashion_lightning.cli import compare

            compare.main(rest)
        elif command == "export":
            from fashion_lightning.cli import export

            export.main(rest)
        elif command == fit_settings.COMMAND:
            fit_settings.main(rest, began)
        else:
            from fashion_lightning.cli import commands

            commands.run(arguments, began)
    except UserError as error:
        _fail(str(error))
    except Exception as error:
        if is_out_of_memory(error):
            _fail(OUT_OF_MEMORY)
        if not isinstance(error, OSError):
            raise
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def _require_checkpoint(arguments: list[str]) -> None:
    """Stop before random weights are scored, with the command that the user wanted."""
    command, *rest = arguments
    given = {argument.partition("=")[0] for argument in rest}
    if command in ("validate", "test", "predict", "export") and not given & {
        "--ckpt_path",
        "-h",
        "--help",
        "--print_config",
    }:
        run = newest_run()
        advice = f"fashion-lightning {command} --ckpt_path {run or Path('tensorboard_logs/cnn/version_0')}"
        which = " (your newest run)" if run else "; there are no runs here yet, train one first: fashion-lightning fit"
        raise UserError(f"{command} needs a trained checkpoint: {advice}{which}")


def _fail(message: str) -> NoReturn:
    if os.environ.get("FASHION_LIGHTNING_DEBUG", "0") != "0" and sys.exception() is not None:
        traceback.print_exc()
    print(f"error: {one_line(message)}", file=sys.stderr)
    raise SystemExit(2)
